"""The report of a run: one page for people, and the same figures for programs."""

from pathlib import Path

from peerage.report.page import page
from peerage.report.reading import Asked, Told, read_run
from peerage.rundir import write_whole

__all__ = ["Asked", "Told", "page", "read_run", "write_report"]


def write_report(root: Path) -> Path:
    """`report.html` in the run directory. Raises whatever goes wrong: a run's end must go on without it."""
    path = root / "report.html"
    write_whole(path, page(read_run(root)).encode("utf-8", "replace"))
    return path
