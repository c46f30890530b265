"""Which settings of two federations differ, as their keys stand in federation.toml."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

if TYPE_CHECKING:
    from collections.abc import Iterator

    from peerage.config import Federation


def changed(one: Federation, other: Federation) -> tuple[tuple[str, str, str], ...]:
    """(key, here, there) of every setting that differs, but for name and seed."""
    here, there = dict(_leaves(msgspec.to_builtins(one))), dict(_leaves(msgspec.to_builtins(other)))
    keys = sorted(here.keys() | there.keys())
    return tuple(
        (key, str(here.get(key, "-")), str(there.get(key, "-")))
        for key in keys
        if here.get(key) != there.get(key) and key not in {"name", "seed"}
    )


def _leaves(node: Any, path: str = "") -> Iterator[tuple[str, Any]]:  # noqa: ANN401 - a tree of TOML values
    if isinstance(node, dict):
        for key, value in node.items():
            yield from _leaves(value, f"{path}.{key}" if path else str(key))
    else:
        yield path, node
