"""A model as the protocol sees it: one vector of float32 in a fixed layout.

The layout is every floating-point entry of `state_dict()` in its order (weights, and BatchNorm's running statistics);
integer buffers are counters of their owner and stay local.
"""

from __future__ import annotations

import math
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np
import torch
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save
from torch import nn

from peerage.learning.factory import load_factory
from peerage_crypto.digest import tagged
from peerage_crypto.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

Layout = tuple[tuple[str, tuple[int, ...]], ...]


def build(
    input_shape: tuple[int, ...],
    classes: int,
    seed: int,
    *,
    hidden: int = 64,
    factory: str = "",
    folder: Path | None = None,
    made: Callable[[], nn.Module] | None = None,
) -> nn.Module:
    """The first model of a federation: everyone who builds it with the same arguments has the same bytes.

    `factory` names a callable `(input_shape, classes) -> nn.Module`, `made` is one of ours (architectures); without
    either it is a perceptron with one hidden layer.
    """
    with torch.random.fork_rng(devices=[]):  # modules initialise from the global generator; ours alone is seeded
        torch.manual_seed(seed)
        if made is not None:
            return made()
        if not factory:
            return perceptron(input_shape, hidden, classes)
        model = load_factory(factory, folder)(input_shape, classes)
        if not isinstance(model, nn.Module):
            raise InputError(f"{factory} returned {type(model).__name__}, not a torch.nn.Module.")
        _try(model, factory, input_shape, classes)
    if not layout(model):
        raise InputError(f"the model of {factory} has no floating-point parameters to share.")
    return model


@torch.no_grad()
def _try(model: nn.Module, factory: str, input_shape: tuple[int, ...], classes: int) -> None:
    """One forward pass: gives lazy modules their shapes, and says in a sentence what would fail in the first round."""
    model.eval()  # BatchNorm must not learn from our zeros
    try:
        answer = model(torch.zeros(2, *input_shape))
    except (RuntimeError, ValueError, TypeError, IndexError) as error:
        raise InputError(f"the model of {factory} does not take rows of shape {input_shape}: {error}") from error
    if not isinstance(answer, torch.Tensor) or answer.shape != (2, classes):
        shape = tuple(answer.shape) if isinstance(answer, torch.Tensor) else type(answer).__name__
        raise InputError(
            f"the model of {factory} answers 2 rows with {shape}; it should answer (2, {classes}), one logit a class."
        )
    model.train()


def perceptron(input_shape: tuple[int, ...], hidden: int, classes: int) -> nn.Module:
    """Three widths, inputs - hidden - classes, with ReLU between."""
    widths = (math.prod(input_shape), hidden, classes)
    layers: list[nn.Module] = [nn.Flatten()]
    for wide, narrow in pairwise(widths):
        layers += [nn.Linear(wide, narrow), nn.ReLU()]
    return nn.Sequential(*layers[:-1])


def floats(model: nn.Module) -> list[tuple[str, torch.Tensor]]:
    """All floating-point tensors, aliasing the model."""
    return [(name, entry) for name, entry in model.state_dict().items() if entry.is_floating_point()]


def shared_entries(model: nn.Module) -> list[tuple[str, torch.Tensor]]:
    """The tensors behind the vector, aliasing the model: all but what is kept apart."""
    apart = {*_apart(model, "personal_entries"), *_apart(model, "frozen_entries")}
    return [(name, entry) for name, entry in floats(model) if name not in apart]


def personal_entries(model: nn.Module) -> list[tuple[str, torch.Tensor]]:
    """The tensors that stay with this peer (parts.py), aliasing the model."""
    mine = _apart(model, "personal_entries")
    return [(name, entry) for name, entry in floats(model) if name in mine]


def frozen_entries(model: nn.Module) -> list[tuple[str, torch.Tensor]]:
    """The tensors that are alike everywhere and never move, aliasing the model."""
    fixed = _apart(model, "frozen_entries")
    return [(name, entry) for name, entry in floats(model) if name in fixed]


def keep_apart(model: nn.Module, *, personal: Sequence[str] = (), frozen: Sequence[str] = ()) -> None:
    """From now on these are not in the model's vector; copies of the model remember it."""
    vars(model)["personal_entries"] = _apart(model, "personal_entries") | frozenset(personal)
    vars(model)["frozen_entries"] = _apart(model, "frozen_entries") | frozenset(frozen)


def take_back(model: nn.Module) -> None:
    """What stayed with a peer is in the vector again."""
    vars(model)["personal_entries"] = frozenset[str]()


def _apart(model: nn.Module, which: str) -> frozenset[str]:
    found: frozenset[str] = vars(model).get(which, frozenset())
    return found


def layout(model: nn.Module) -> Layout:
    return tuple((name, tuple(entry.shape)) for name, entry in shared_entries(model))


def layout_hash(agreed: Layout, frozen: bytes = b"") -> bytes:
    """What peers compare before they train together: names, shapes and order; where a part is frozen (parts.py), also
    its digest.
    """
    named = [f"{name}:{','.join(map(str, shape))}".encode() for name, shape in agreed]
    return tagged("peerage/layout/1", *named, *([frozen] if frozen else []))


def size(agreed: Layout) -> int:
    """d: floats of the vector."""
    return sum(math.prod(shape) for _, shape in agreed)


def describe_difference(mine: Layout, theirs: Layout) -> str:
    """One sentence on the first entry in which two layouts differ; empty when they do not."""
    for ours, other in zip(mine, theirs, strict=False):
        if ours != other:
            return f"{ours[0]} has shape {ours[1]} here and there is {other[0]} of shape {other[1]} there."
    if len(mine) != len(theirs):
        return f"{len(mine)} entries here, {len(theirs)} there."
    return ""


def to_vector(model: nn.Module) -> NDArray[np.float32]:
    """(d,) a copy."""
    entries = [entry.detach().reshape(-1).to("cpu", torch.float32) for _, entry in shared_entries(model)]
    return torch.cat(entries).numpy()


@torch.no_grad()
def from_vector(model: nn.Module, vector: NDArray[np.float32] | NDArray[np.float64]) -> None:
    """Writes `vector` into the model, in the model's own precision."""
    entries = shared_entries(model)
    if vector.ndim != 1 or len(vector) != sum(entry.numel() for _, entry in entries):
        raise ValueError(
            f"a vector of shape {vector.shape} does not fit {sum(entry.numel() for _, entry in entries)} floats"
        )
    values = torch.from_numpy(np.array(vector))  # a copy: received bytes are read-only
    offset = 0
    for name, entry in entries:
        entry.copy_(values[offset : offset + entry.numel()].view(entry.shape))
        if name.endswith("running_var"):
            entry.clamp_(min=0)  # momentum and rounding may carry a variance below zero, where its root is NaN
        offset += entry.numel()


def parameter_mask(model: nn.Module) -> NDArray[np.bool_]:
    """(d,) True where the vector holds something gradient descent moves, False on running statistics."""
    moved = {name for name, entry in model.named_parameters(remove_duplicate=False) if entry.requires_grad}
    return np.concatenate([np.full(entry.numel(), name in moved) for name, entry in shared_entries(model)])


def canonical_bytes(vector: NDArray[np.float32]) -> bytes:
    """Little-endian float32; their SHA-256 is the aggregate's name, everywhere."""
    return np.ascontiguousarray(vector, dtype="<f4").tobytes()


def from_canonical(blob: bytes, floats: int) -> NDArray[np.float32]:
    if len(blob) != 4 * floats:
        raise ValueError(f"{len(blob)} bytes are not {floats} floats")
    return np.frombuffer(blob, dtype="<f4").astype(np.float32)


def save_safetensors(
    path: Path, agreed: Layout, vector: NDArray[np.float32], metadata: Mapping[str, str] | None = None
) -> None:
    """The model for people: named tensors that any safetensors reader opens."""
    tensors: dict[str, NDArray[np.float32]] = {}
    offset = 0
    for name, shape in agreed:
        count = math.prod(shape)
        tensors[name] = np.ascontiguousarray(vector[offset : offset + count].reshape(shape))
        offset += count
    path.write_bytes(save(tensors, dict(metadata or {})))


def load_safetensors(path: Path, agreed: Layout) -> NDArray[np.float32]:
    """The vector again, from a file that must have this layout and hold real numbers; nothing is read before its names
    and shapes are known to fit. InputError says the first that does not.
    """
    pieces: list[NDArray[np.float32]] = []
    try:
        with safe_open(path, framework="numpy") as file:
            there = {name: tuple(file.get_slice(name).get_shape()) for name in file.keys()}  # noqa: SIM118 - no mapping
            _check_layout(path, agreed, there)
            for name, _ in agreed:
                tensor = file.get_tensor(name)
                if tensor.dtype.kind != "f":
                    raise InputError(f"{path} has {name} as {tensor.dtype}, and a model holds floats.")
                pieces.append(tensor.reshape(-1).astype(np.float32))
    except (OSError, SafetensorError, AttributeError, TypeError, ValueError) as error:  # kinds that numpy lacks
        raise InputError(f"{path} cannot be read as safetensors: {error}.") from error
    vector = np.concatenate(pieces)
    if not np.isfinite(vector).all():
        raise InputError(f"{path} holds numbers that are not finite: take the model of an earlier round.")
    return vector


def _check_layout(path: Path, agreed: Layout, there: Mapping[str, tuple[int, ...]]) -> None:
    for name, shape in agreed:
        if name not in there:
            has = ", ".join(sorted(there)[:4])
            raise InputError(f"{path} has no tensor {name} of shape {shape}: it is of another model, with {has}.")
        if there[name] != shape:
            raise InputError(
                f"{path} has {name} of shape {there[name]}, and the model of these settings {shape}: choose the "
                "settings that it was trained with, or another file."
            )
