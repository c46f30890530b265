"""A folder for the files of targets, of each process its own: two targets run at once never see each other's files."""

from __future__ import annotations

import atexit
import os
import shutil
import tempfile
from functools import cache
from pathlib import Path


def place() -> Path:
    """Of this process, which may be a fork of one that has a folder already."""
    return _of(os.getpid())


@cache
def _of(pid: int) -> Path:
    made = Path(tempfile.mkdtemp(prefix=f"peerage-fuzz-{pid}-"))
    atexit.register(lambda: os.getpid() == pid and shutil.rmtree(made, ignore_errors=True))  # a fork inherits this
    return made
