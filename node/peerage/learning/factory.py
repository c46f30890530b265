"""Bring your own: `module:factory` or `path/to/file.py:factory` named in a federation becomes a Python callable.

This runs code that the person who starts the peer has written or chosen; nothing that comes from another peer ever
reaches it.
"""

from __future__ import annotations

import hashlib
import importlib
import importlib.util
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from peerage_crypto.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import ModuleType


FILES = ("csv:", "npz:", "folder:")  # sources that are files: their names may look like a factory's


def is_factory(name: str) -> bool:
    """`package.module:name` or `file.py:name`, as opposed to one of our own words."""
    module, colon, attribute = name.rpartition(":")
    return bool(colon) and bool(module) and attribute.isidentifier() and not name.startswith(FILES)


def load_factory(name: str, folder: Path | None = None) -> Callable[..., Any]:
    """The callable behind `name`; modules and files are looked for in `folder` (default: the current one) first."""
    module_name, colon, attribute = name.rpartition(":")
    if not colon or not module_name or not attribute.isidentifier():
        raise InputError(f"{name!r} is not of the form module:factory or file.py:factory.")
    module = _module(module_name, (folder or Path()).resolve())
    factory = getattr(module, attribute, None)
    if not callable(factory):
        raise InputError(f"{module_name} has no function or class {attribute!r} (from {name!r}).")
    return factory  # type: ignore[no-any-return]


def _module(name: str, folder: Path) -> ModuleType:
    path = Path(name) if Path(name).is_absolute() else folder / name
    if name.endswith(".py"):
        return _from_file(path)
    if name in sys.modules:
        return sys.modules[name]
    sys.path.insert(0, str(folder))
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        if error.name is not None and (name == error.name or name.startswith(f"{error.name}.")):
            raise InputError(f"there is no module {name!r} in {folder} or among the installed packages.") from error
        raise InputError(f"{name} needs the package {error.name!r}, which is not installed.") from error
    finally:
        sys.path.remove(str(folder))


def _from_file(path: Path) -> ModuleType:
    if not path.is_file():
        raise InputError(f"there is no file {path}.")
    # named by its place, so that two files called model.py are two modules
    name = f"peerage_own_{hashlib.sha256(str(path).encode()).hexdigest()[:16]}"
    if name in sys.modules:
        return sys.modules[name]
    spec = importlib.util.spec_from_file_location(name, path)
    if spec is None or spec.loader is None:
        raise InputError(f"{path} is not a Python file.")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    try:
        spec.loader.exec_module(module)
    except Exception as error:  # whatever the user's file raises is the user's to mend; we only say where
        del sys.modules[name]
        raise InputError(f"{path} does not import: {type(error).__name__}: {error}") from error
    return module
