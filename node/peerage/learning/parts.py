"""Which part of a model is exchanged, where it is not all of it: personal heads stay, a frozen base is common.

`shared_entries` (model.py) leaves out what is kept apart here, and with it everything that follows: the layout, the
vector under the masks, its merge, its direction and its pay. What stays with a peer never leaves it; what is frozen
is the same for all, and its digest is part of the layout's hash.

Personal heads: FedPer (Arivazhagan et al. 2019, arXiv 1912.00818), FedRep (Collins et al. 2021, arXiv 2102.07078).
Adapters: LoRA (Hu et al. 2021, arXiv 2106.09685): a frozen W gets a learnt B A of low rank beside it.
"""

from __future__ import annotations

import contextlib
from fnmatch import fnmatchcase
from pathlib import Path
from typing import TYPE_CHECKING, Final

import torch
from safetensors.torch import save
from torch import nn

from peerage.learning.model import (
    floats,
    from_vector,
    frozen_entries,
    keep_apart,
    layout,
    load_safetensors,
    personal_entries,
    shared_entries,
)
from peerage_crypto.digest import tagged
from peerage_crypto.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Generator, Sequence

HEAD: Final = "head"  # for people: all that the last layer has
SHOWN: Final = 8
DOWN_SCALE: Final = 0.02  # of A's first draw; B begins at zero, so the model begins as its base


def divide(model: nn.Module, local: Sequence[str], adapters: int, base: str, seed: int) -> None:
    """What the settings keep out of the vector of a first model; the same for everybody who has the same settings."""
    if base:
        _load_base(model, Path(base).expanduser())
    if adapters:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            _adapt(model, adapters)
    if local:
        keep_apart(model, personal=personal_names(model, local))


def personal_names(model: nn.Module, wanted: Sequence[str]) -> list[str]:
    """The entries that stay with each peer. InputError where a pattern fits none, or nothing would be exchanged."""
    names = [name for name, _ in shared_entries(model)]
    found: set[str] = set()
    for pattern in wanted:
        fits = last_layer(names) if pattern == HEAD else [name for name in names if fnmatchcase(name, pattern)]
        if not fits:
            shown = ", ".join(names[:SHOWN]) + (" ..." if len(names) > SHOWN else "")
            raise InputError(f'model.local = "{pattern}" fits no tensor of the model: it has {shown}')
        found.update(fits)
    if len(found) == len(names):
        raise InputError(
            f'model.local leaves nothing to exchange, all {len(names)} tensors would stay: local = ["{HEAD}"] keeps '
            "the last layer only"
        )
    return [name for name in names if name in found]


def last_layer(names: Sequence[str]) -> list[str]:
    """Those of the module that comes last."""
    module = names[-1].rpartition(".")[0]
    return [name for name in names if name.rpartition(".")[0] == module]


class Adapted(nn.Module):
    """y = base(x) + B (A x): `base` frozen, A (rank, inputs), B (outputs, rank)."""

    def __init__(self, base: nn.Linear, rank: int) -> None:
        super().__init__()
        self.base = base.requires_grad_(requires_grad=False)
        self.down = nn.Parameter(DOWN_SCALE * torch.randn(rank, base.in_features))
        self.up = nn.Parameter(torch.zeros(base.out_features, rank))

    def forward(self, rows: torch.Tensor) -> torch.Tensor:
        """(..., inputs) to (..., outputs)."""
        low: torch.Tensor = nn.functional.linear(nn.functional.linear(rows, self.down), self.up)
        base: torch.Tensor = self.base(rows)
        return base + low


def _adapt(model: nn.Module, rank: int) -> None:
    """Every linear layer gets an adapter; all else is frozen and leaves the vector. The last layer, which speaks of
    this federation's labels, is learnt whole. Draws from torch's generator.
    """
    if any(name.endswith("running_mean") for name, _ in floats(model)):
        raise InputError("model.adapters freezes the layers, and running statistics would move: use GroupNorm")
    linear = [(name, layer) for name, layer in model.named_modules() if type(layer) is nn.Linear]
    inner, last = linear[:-1], linear[-1:]
    if not inner:
        raise InputError(f"model.adapters = {rank} needs a linear layer before the last one: leave it out")
    narrowest = min(min(layer.in_features, layer.out_features) for _, layer in inner)
    if rank > narrowest:
        raise InputError(f"model.adapters = {rank} is no low rank for a layer of {narrowest}: choose at most that")
    model.requires_grad_(requires_grad=False)
    last[0][1].requires_grad_(requires_grad=True)
    for name, layer in inner:
        owner, _, attribute = name.rpartition(".")
        setattr(model.get_submodule(owner), attribute, Adapted(layer, rank))
    learnt = {name for name, parameter in model.named_parameters() if parameter.requires_grad}
    keep_apart(model, frozen=[name for name, _ in floats(model) if name not in learnt])


def frozen_digest(model: nn.Module) -> bytes:
    """Of names and bytes of what everybody must have alike though nobody sends it; empty where there is none."""
    kept = frozen_entries(model)
    if not kept:
        return b""
    pieces = [piece for name, entry in kept for piece in (name.encode(), entry.detach().numpy().tobytes())]
    return tagged("peerage/frozen/1", *pieces)


def _load_base(model: nn.Module, path: Path) -> None:
    """The weights that adapters are beside, from a file of the same model; InputError where it is another."""
    from_vector(model, load_safetensors(path, layout(model)))


@contextlib.contextmanager
def learning_only(model: nn.Module, *, personal: bool) -> Generator[None]:
    """Inside, gradient descent moves either what stays with this peer or what is exchanged (FedRep's two steps)."""
    mine = {name for name, _ in personal_entries(model)}
    held = [p for name, p in model.named_parameters() if p.requires_grad and (name in mine) != personal]
    for parameter in held:
        parameter.requires_grad = False
    try:
        yield
    finally:
        for parameter in held:
            parameter.requires_grad = True


def save_own(model: nn.Module, path: Path) -> None:
    """Keep this peer's whole model for itself; replaced at once, so that a crash leaves the old one or the new one."""
    partial = path.with_suffix(".partial")
    partial.write_bytes(save({name: entry.detach().contiguous() for name, entry in floats(model)}))
    partial.replace(path)


@torch.no_grad()
def load_own(model: nn.Module, path: Path) -> None:
    """What stays with this peer, from an earlier life. InputError where the file is another model's."""
    mine = personal_entries(model)
    kept = tuple((name, tuple(entry.shape)) for name, entry in mine)
    offset, values = 0, torch.from_numpy(load_safetensors(path, kept))
    for _, entry in mine:
        entry.copy_(values[offset : offset + entry.numel()].view(entry.shape))
        offset += entry.numel()
