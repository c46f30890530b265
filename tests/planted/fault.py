"""What a planted fault is."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Fault:
    """`old` stands once in `file` and becomes `new`; one of `tests` must fail then."""

    name: str
    file: str
    old: str
    new: str
    tests: tuple[str, ...]


def without(name: str, file: str, check: str, tests: tuple[str, ...]) -> Fault:
    """The fault that a check is never true: `check` is its whole condition, from `if` or `elif` to the colon."""
    return Fault(name, file, check, check.split("if ")[0] + "if False:", tests)


def unheeded(name: str, file: str, holds: str, tests: tuple[str, ...]) -> Fault:
    """The fault that a condition among others counts as true: `holds` is an expression."""
    return Fault(name, file, holds, "True", tests)


def planted(fault: Fault, source: str) -> str:
    """The source with the fault in it; ValueError when the line to change is not there exactly once."""
    if source.count(fault.old) != 1:
        raise ValueError(f"{fault.file} has the line to change {source.count(fault.old)} times, not once")
    return source.replace(fault.old, fault.new)
