"""Where models come from: a graph of records with the peers, versions, code and data behind each, and its questions.

Pure: chain archive and artefacts come in as values. `peerage.provenance` reads and writes the files.
"""

from peerage_ledger.provenance.build import Provenance, paid_line, provenance_of
from peerage_ledger.provenance.graph import ModelGraph
from peerage_ledger.provenance.intoto import envelope_of, open_envelope, statement_of
from peerage_ledger.provenance.manifests import (
    AgreedTerms,
    CodeManifest,
    DataManifest,
    EnvironmentManifest,
    decode_manifest,
)
from peerage_ledger.provenance.model import Contribution, Exchange, ModelNode, Place
from peerage_ledger.provenance.picture import svg_of
from peerage_ledger.provenance.queries import between, containing, find_model, find_peer, origin, with_aggregate

__all__ = [
    "AgreedTerms",
    "CodeManifest",
    "Contribution",
    "DataManifest",
    "EnvironmentManifest",
    "Exchange",
    "ModelGraph",
    "ModelNode",
    "Place",
    "Provenance",
    "between",
    "containing",
    "decode_manifest",
    "envelope_of",
    "find_model",
    "find_peer",
    "open_envelope",
    "origin",
    "paid_line",
    "provenance_of",
    "statement_of",
    "svg_of",
    "with_aggregate",
]
