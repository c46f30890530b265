"""One question at a time: from what a person typed to words and a document."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from peerage.provenance import documents, words
from peerage.provenance.export import write_statements
from peerage.provenance.model_file import identify
from peerage.rundir import write_whole
from peerage_crypto.errors import InputError
from peerage_ledger.provenance import queries
from peerage_ledger.provenance.picture import svg_of

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from peerage.provenance.sources import Opened
    from peerage_crypto.identity import Account

Answer = tuple[str, dict[str, Any]]


def check_asked(*, contains: str | None, keystore: Path | None, in_toto: Path | None) -> None:
    """What can be refused before anything is read."""
    if contains is not None:
        queries.split_version(contains)
    if keystore is not None and in_toto is None:
        raise InputError("--keystore signs in-toto statements: give --in-toto DIR with it")


def warning(opened: Opened) -> str:
    return words.warning(opened.told)


def overview(opened: Opened) -> str:
    return words.overview(opened.told)


def whole(opened: Opened) -> dict[str, Any]:
    return documents.graph_document(opened.told)


def contains(opened: Opened, question: str) -> Answer:
    name, version = queries.split_version(question)
    peer = queries.find_peer(opened.told, name)
    found = queries.containing(opened.told.graph, peer, version)
    return words.contains_in_words(opened.told, peer, version, found), documents.contains_document(peer, version, found)


def between(opened: Opened, question: tuple[str, str]) -> Answer:
    a, b = (queries.find_model(opened.told, text) for text in question)
    found = queries.between(opened.told.graph, a, b)
    return words.between_in_words(opened.told, found), documents.between_document(found)


def of(opened: Opened, path: Path) -> Answer:
    """InputError when no record has the file's parameters."""
    found = identify(path, opened)
    if not found.nodes:
        why = found.wrong or f"no record of this chain names its parameters ({found.digest.hex()})"
        raise InputError(f"{path} does not come from this federation: {why}")
    origin = queries.origin(opened.told.graph, found.nodes[0])
    return words.origin_in_words(opened.told, origin), documents.origin_document(origin)


def log(opened: Opened) -> Answer:
    return words.log(opened.told), documents.graph_document(opened.told)


def written(
    opened: Opened, *, svg: Path | None, in_toto: Path | None, account: Account | None, mlflow: str | None
) -> Iterator[tuple[str, str, Any]]:
    """What goes into files and other registries: (words, key, value) of each."""
    told = opened.told
    if svg is not None:
        try:
            write_whole(svg, svg_of(told).encode())
        except OSError as error:
            raise InputError(f"{svg} cannot be written: {error.strerror or error}") from None
        yield f"{svg}: the graph of {len(told.graph)} models.", "svg", str(svg)
    if in_toto is not None:
        paths = write_statements(told, in_toto, account)
        how = "unsigned" if account is None else f"signed by {words.name_of(told, account.address)}"
        yield f"{in_toto}: {len(paths)} in-toto statements, {how}.", "in_toto", [str(path) for path in paths]
    if mlflow is not None:
        from peerage.provenance.mlflow_door import register  # noqa: PLC0415 - an extra

        done = register(opened, mlflow)
        said = f"{mlflow}: {done.added} versions of {done.name} added, {done.known} were there."
        yield said, "mlflow", {"name": done.name, "added": done.added, "known": done.known}
