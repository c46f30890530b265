"""The other blobs that peers fetch from each other or an auditor finds in a store."""

from __future__ import annotations

import json
import struct

import msgspec
import numpy as np

from fuzz.builder import build, tree
from fuzz.draw import Draw, edited
from fuzz.place import place
from fuzz.target import target
from peerage.audit.store import VALIDATION_HEAD, shelve, validation_from
from peerage.emissions import PHASES, BadRecord, Label, decode_host_record, decode_record
from peerage.emissions.csv_log import rows
from peerage.emissions.factors import Factor, co2e_ug
from peerage.emissions.host_record import HostRecord, host_band
from peerage.emissions.record import Labels, PhaseUse, Power, complete
from peerage.learning import common_scale
from peerage.learning.model import load_safetensors, save_safetensors
from peerage.rounds import aggregation, scoring_step
from peerage.rounds.settlement import Due, LastEmissions, SettlementDocument, decode_settlement
from peerage_crypto.digest import sha256
from peerage_crypto.errors import InputError
from peerage_ledger.audit.findings import Notebook
from peerage_ledger.plain_judgement import weights_of

FACTOR = Factor(
    country="FRA", low_mg=31_000, mid_mg=56_039, high_mg=79_000, year=2023, source="x", label=Label.MODELLED
)
RECORD = complete(
    peer=bytes(20),
    host_id="0123456789abcdef",
    session_us=1,
    index=0,
    round=3,
    start_us=1,
    end_us=700_001,
    resolution_us=0,
    power=Power(milli_cores=2000, idle_mw=1480, rate_uw=2_760_000, reserved_ppm=125_000),
    labels=Labels(cpu_dyn=Label.MODELLED, idle=Label.MODELLED, ram=Label.MODELLED, gpu=Label.ASSUMED),
    use=tuple(PhaseUse(phase=p, wall_us=10**5, cpu_us=9, ram_bytes=10**9) for p in PHASES),
    factor=FACTOR,
)
_HOST = build(HostRecord, Draw(b"host" * 60))
_BAND = host_band(_HOST.host, _HOST.cpu_label, _HOST.gpu_label)
HOST = msgspec.structs.replace(_HOST, factor=FACTOR, energy_uj=_BAND, co2e_ug=co2e_ug(_BAND, FACTOR))
SETTLEMENT = SettlementDocument(
    1, 1, bytes(32), (Due(b"a" * 20, "0"), Due(b"b" * 20, "7")), (LastEmissions(b"a" * 20, bytes(32)),), bytes(32), ()
)
SHAPES = [bytes([n * 3, n, 5, n * 11 % 256, 1]) for n in range(12)]


def plain(value: object) -> bytes:
    return msgspec.json.encode(value, order="deterministic")


@target("artefact.emissions", allowed=(BadRecord,), seeds=lambda: [RECORD.encode()])
def emissions(data: bytes) -> None:
    record = decode_record(data)
    assert record.encode() == data
    assert rows(record)


@target("artefact.emissions-spoilt", allowed=(BadRecord,), seeds=lambda: SHAPES)
def emissions_spoilt(data: bytes) -> None:
    emissions(msgspec.json.encode(edited(tree(RECORD), Draw(data))))


@target("artefact.host", allowed=(BadRecord,), seeds=lambda: [HOST.encode()])
def host(data: bytes) -> None:
    assert decode_host_record(data).encode() == data


@target("artefact.host-spoilt", allowed=(BadRecord,), seeds=lambda: SHAPES)
def host_spoilt(data: bytes) -> None:
    host(msgspec.json.encode(edited(tree(HOST), Draw(data))))


@target("artefact.settlement", allowed=(ValueError,), seeds=lambda: [plain(SETTLEMENT)])
def settlement(data: bytes) -> None:
    document = decode_settlement(data)
    assert plain(document) == data
    document.reward_root().digest(1, bytes(20))


@target("artefact.settlement-spoilt", allowed=(ValueError,), seeds=lambda: SHAPES)
def settlement_spoilt(data: bytes) -> None:
    settlement(msgspec.json.encode(edited(tree(SETTLEMENT), Draw(data))))


VALIDATION = VALIDATION_HEAD + b"2,3\n" + np.arange(6, dtype="<f4").tobytes() + np.array([0, 1], "<i8").tobytes()


@target("artefact.validation", allowed=(ValueError,), seeds=lambda: [VALIDATION])
def validation(data: bytes) -> None:
    assert len(validation_from(data, ("a", "b")))


@target("artefact.standardiser", allowed=(InputError,), seeds=lambda: [b'{"mean":[0.5,1.0],"spread":[1.0,2.5]}'])
def standardiser(data: bytes) -> None:
    agreed = common_scale.decoded(data)
    assert len(agreed.mean) == len(agreed.spread)
    assert common_scale.decoded(common_scale.encoded(agreed)) == agreed


@target("artefact.vectors", allowed=(ValueError,), seeds=lambda: [bytes(24), bytes(23), b"\xff" * 24])
def vectors(data: bytes) -> None:
    weights_of(data, 6)
    assert aggregation.canonical(aggregation.from_canonical(data, 6)) == data
    assert scoring_step.direction_bytes(scoring_step.direction_from(data, 6)) == data


LAYOUT = (("a", (2,)), ("b", (1, 2)))


def model_file() -> bytes:
    save_safetensors(place() / "seed", LAYOUT, np.arange(4, dtype=np.float32))
    return (place() / "seed").read_bytes()


@target("artefact.safetensors", allowed=(InputError,), seeds=lambda: [model_file()])
def safetensors(data: bytes) -> None:
    (place() / "model").write_bytes(data)
    assert load_safetensors(place() / "model", LAYOUT).shape == (4,)


DTYPES = ("F32", "F64", "F16", "BF16", "F8_E4M3", "F8_E5M2", "I64", "U8", "BOOL", "C64", "F4", "X", "")


@target("artefact.safetensors-spoilt", allowed=(InputError,), seeds=lambda: SHAPES)
def safetensors_spoilt(data: bytes) -> None:
    draw = Draw(data)
    body = draw.binary(0, 40)
    head = {
        name: {"dtype": draw.pick(DTYPES), "shape": shape, "data_offsets": [at, draw.integer(0, len(body))]}
        for name, shape, at in (("a", [2], 0), ("b", [1, 2], draw.integer(0, len(body))))
    }
    try:
        text = msgspec.json.encode(edited(head, draw))
    except RecursionError:
        return
    safetensors(struct.pack("<Q", len(text)) + text + body)


@target(
    "artefact.store",
    seeds=lambda: [RECORD.encode(), plain(SETTLEMENT), VALIDATION, b"{}", json.dumps({"x": 1}).encode()],
)
def store(data: bytes) -> None:
    """The auditor's first look at any file: it is put on a shelf, whatever it is."""
    shelves = shelve([sha256(data).hex(), "x"], lambda _: data, Notebook())
    assert sha256(data) in shelves.artefacts
