"""Which model of the chain a safetensors file is: its tensors in the agreed order, hashed. No torch.

The order comes from the layout that every session is bound to, so that neither renamed nor exchanged tensors pass. The
file's own metadata are not asked; where no store has the layout, its word for the order is all there is, and said so.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import msgspec
import numpy as np
from safetensors import SafetensorError, safe_open

from peerage_crypto.digest import sha256
from peerage_crypto.errors import InputError
from peerage_ledger.provenance.evidence import binds
from peerage_ledger.provenance.manifests import MAX_MANIFEST_BYTES, AgreedTerms, CodeManifest, manifest_in
from peerage_ledger.provenance.queries import entries, with_aggregate

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from numpy.typing import NDArray

    from peerage.provenance.sources import Opened
    from peerage_ledger.provenance.model import ModelNode

MAX_MODEL_BYTES = 16 << 30
ORDER = "order"  # the file's own word for the order of its tensors (`launch.product`)


@dataclass(frozen=True, slots=True)
class ModelFile:
    """`order` is empty where the file does not say."""

    tensors: dict[str, NDArray[np.float32]]
    order: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Identified:
    """The records with exactly these parameters, the paid one first. `digest` is empty where none can be computed.

    `bound` is whether the order is the agreed one; `wrong` says how the tensors differ from the agreed ones.
    """

    nodes: tuple[ModelNode, ...]
    digest: bytes
    bound: bool
    wrong: str = ""


def read_model(path: Path) -> ModelFile:
    """InputError for anything but a safetensors file of float32 tensors."""
    try:
        if path.stat().st_size > MAX_MODEL_BYTES:
            raise InputError(f"{path} is larger than {MAX_MODEL_BYTES >> 30} GiB, which no model here is")
        with safe_open(str(path), framework="numpy") as file:
            tensors = {name: np.asarray(file.get_tensor(name)) for name in file.keys()}  # noqa: SIM118 - no mapping
            metadata = dict(file.metadata() or {})
    except (OSError, SafetensorError, KeyError, TypeError, ValueError, AttributeError) as error:
        raise InputError(f"{path} cannot be read as safetensors: {error}") from None
    if not tensors:
        raise InputError(f"{path} holds no tensors")
    return ModelFile(tensors, _order(metadata.get(ORDER, "")))


def _order(text: str) -> tuple[str, ...]:
    try:
        return msgspec.json.decode(text, type=tuple[str, ...]) if text else ()
    except (msgspec.MsgspecError, RecursionError):
        return ()


def identify(path: Path, opened: Opened) -> Identified:
    """Find the file's parameters on the chain. InputError when the order of the tensors is not known from anywhere."""
    file, terms = read_model(path), agreed_terms(opened)
    if terms is not None:
        wrong = _difference(file, terms)
        if wrong:
            return Identified((), b"", bound=True, wrong=wrong)
        order = [tensor.name for tensor in terms.layout]
    elif file.order and sorted(file.order) == sorted(file.tensors):
        order = list(file.order)
    else:
        where = "the store does not hold the agreed layout" if opened.has_store else "without --store"
        raise InputError(f"{path} does not say in which order its tensors are hashed, and {where}: give --store URL")
    digest = sha256(*(np.ascontiguousarray(file.tensors[name], "<f4").tobytes() for name in order))
    found = sorted(with_aggregate(opened.told.graph, digest), key=lambda n: (not n.paid, n.voided, -n.round, n.record))
    return Identified(tuple(found), digest, bound=terms is not None)


def _difference(file: ModelFile, terms: AgreedTerms) -> str:
    agreed = {tensor.name: tensor.shape for tensor in terms.layout}
    for name, shape in agreed.items():
        if name not in file.tensors:
            return f"it has no tensor {name}, which the federation's models have"
        if file.tensors[name].shape != shape:
            return f"its tensor {name} has shape {file.tensors[name].shape}, the federation's models have {shape}"
        if file.tensors[name].dtype != np.float32:
            return f"its tensor {name} holds {file.tensors[name].dtype}, the chain names models in float32"
    more = sorted(file.tensors.keys() - agreed.keys())
    return f"it has a tensor {more[0]}, which the federation's models do not have" if more else ""


def agreed_terms(opened: Opened) -> AgreedTerms | None:
    """The layout from the store, proven by the statements of a recorded round; None where no artefact has it."""
    told = opened.told
    bound = [node for node in told.graph.nodes.values() if node.terms is not None]
    for terms in _candidates(opened):
        if any(binds(node, terms.digest(), told.ground) for node in bound):
            return terms
    return None


def _candidates(opened: Opened) -> Iterator[AgreedTerms]:
    """Those that signed code manifests name; in plain exchange nothing names one, and the store is searched."""
    seen = set[bytes]()
    for entry in entries(opened.told.graph.nodes.values()):
        named = entry.contribution.code_manifest
        if named is None or named in seen:
            continue
        seen.add(named)
        code = manifest_in(opened.store.get(named), CodeManifest)
        terms = manifest_in(opened.store.get(code.terms), AgreedTerms) if code else None
        if terms is not None:
            yield terms
    for name in opened.store.names():
        blob = opened.store.get(name)
        if blob is not None and blob.startswith(b'{"manifest":"terms/') and len(blob) <= MAX_MANIFEST_BYTES:
            terms = manifest_in(blob, AgreedTerms)
            if terms is not None:
                yield terms
