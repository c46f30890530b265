"""Records as bytes: what a stranger may send, and what becomes of it."""

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from peerage.emissions import PHASES, BadRecord, EmissionsCsv, Label, decode_record, summarise
from peerage.emissions.csv_log import COLUMNS
from peerage.emissions.factors import Factor
from peerage.emissions.labels import total_label, widen
from peerage.emissions.record import Labels, PhaseUse, Power, complete

PEER = bytes(range(20))
FRANCE = Factor(
    country="FRA", low_mg=31_000, mid_mg=56_039, high_mg=79_000, year=2023, source="x", label=Label.MODELLED
)
MODELLED = Labels(cpu_dyn=Label.MODELLED, idle=Label.MODELLED, ram=Label.MODELLED, gpu=Label.ASSUMED)


def a_record(wall_us=1_000_000, cpu_us=500_000, **changes):
    use = tuple(PhaseUse(phase=p, wall_us=wall_us, cpu_us=cpu_us, ram_bytes=10**9, bytes_in=7) for p in PHASES)
    values = {
        "peer": PEER,
        "host_id": "0123456789abcdef",
        "session_us": 100,
        "index": 0,
        "round": 3,
        "start_us": 100,
        "end_us": 100 + 7 * wall_us,
        "resolution_us": 0,
        "power": Power(milli_cores=2000, idle_mw=1480, rate_uw=2_760_000, reserved_ppm=125_000),
        "labels": MODELLED,
        "use": use,
        "factor": FRANCE,
    }
    return complete(**(values | changes))


def test_bytes_are_canonical_and_hold_no_float():
    record = a_record()
    raw = record.encode()
    assert decode_record(raw, PEER) == record
    assert decode_record(raw).digest() == record.digest()
    json.loads(raw, parse_float=lambda text: pytest.fail(f"{text} is a float"))
    assert len(raw) < 2500


def test_the_digest_is_known():
    # changes only with the schema: auditors of old runs recompute it
    assert a_record().digest().hex() == "c5864d424db30e2e38fba720dd59b490760576ab7873d6069a53f651b1913931"


@pytest.mark.parametrize(
    ("edit", "sentence"),
    [
        (lambda d: d.update(peer="0x" + "ab" * 20), "speaks for"),
        (lambda d: d["energy"][1].update(cpu_dyn_uj=1), "energy does not follow"),
        (lambda d: d["energy_uj"].update(low=0), "energy_uj does not follow"),
        (lambda d: d["co2e_ug"].update(mid=1), "co2e_ug does not follow"),
        (lambda d: d.update(quality="measured_counter"), "quality does not follow"),
        (lambda d: d["use"].reverse(), "each phase once"),
        (lambda d: d["use"].pop(), "each phase once"),
        (lambda d: d["factor"].update(low_mg=99_000), "not a band"),
        (lambda d: d["factor"].update(mid_mg=-1, low_mg=-1), "not a band"),
        (lambda d: d["use"][0].update(wall_us=-1), "not an emission record"),
        (lambda d: d["use"][0].update(wall_us=1.5), "not an emission record"),
        (lambda d: d.update(round=2**70), "not an emission record"),
        (lambda d: d.update(extra=1), "not an emission record"),
        (lambda d: d.update(schema=2), "not an emission record"),
        (lambda d: d.pop("labels"), "not an emission record"),
        (lambda d: d["labels"].update(gpu="certain"), "not an emission record"),
        (lambda d: d.update(peer=d["peer"].upper()), "not an emission record"),
    ],
)
def test_an_edited_record_is_refused_with_the_reason(edit, sentence):
    tree = json.loads(a_record().encode())
    edit(tree)
    with pytest.raises(BadRecord, match=sentence):
        decode_record(json.dumps(tree, separators=(",", ":")).encode(), PEER)


def test_other_spellings_of_the_same_record_are_refused():
    record = a_record()
    tree = json.loads(record.encode())
    for raw in (json.dumps(tree).encode(), record.encode() + b"\n", json.dumps(dict(reversed(tree.items()))).encode()):
        with pytest.raises(BadRecord, match="canonical"):
            decode_record(raw)


@settings(max_examples=200, deadline=None)
@given(st.data())
def test_no_byte_can_change_unnoticed(data):
    raw = bytearray(a_record().encode())
    at = data.draw(st.integers(0, len(raw) - 1))
    raw[at] = data.draw(st.integers(0, 255).filter(lambda b: b != raw[at]))
    try:
        again = decode_record(bytes(raw), PEER)
    except BadRecord:
        return
    assert again.digest() != a_record().digest()


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=200))
def test_garbage_is_refused(raw):
    with pytest.raises(BadRecord):
        decode_record(raw)


def test_long_input_is_refused_before_it_is_read():
    with pytest.raises(BadRecord, match="longer"):
        decode_record(b"[" * 1_000_000)


def test_a_total_is_as_good_as_its_worst_weighty_part():
    assert total_label([(Label.ATTRIBUTED, 90), (Label.ASSUMED, 10)]) is Label.ATTRIBUTED
    assert total_label([(Label.ATTRIBUTED, 89), (Label.ASSUMED, 11)]) is Label.ASSUMED
    assert total_label([]) is Label.MEASURED_COUNTER
    assert total_label([(Label.MODELLED, 0)]) is Label.MODELLED


def test_bands_are_integers_around_the_middle():
    band = widen(1001, (500, 2000))
    assert (band.low, band.mid, band.high) == (500, 1001, 2002)


def test_the_csv_is_appended_whole_and_a_torn_line_is_cut(tmp_path):
    path = tmp_path / "emissions.csv"
    with EmissionsCsv(path) as log:
        log.append(a_record())
        assert len(path.read_text().splitlines()) == 8  # flushed while open
    path.write_bytes(path.read_bytes() + b"1,0x00,torn")
    with EmissionsCsv(path) as log:
        log.append(a_record(index=1, round=4))
    lines = [line.split(",") for line in path.read_text().splitlines()]
    assert lines[0] == list(COLUMNS)
    assert {len(line) for line in lines} == {len(COLUMNS)}
    assert [(line[0], line[2], line[3]) for line in lines[1:]] == [("1", r, p) for r in "34" for p in PHASES]
    train = dict(zip(COLUMNS, lines[2], strict=True))
    assert float(train["energy_wh_low"]) < float(train["energy_wh_mid"]) < float(train["energy_wh_high"])
    assert float(train["co2e_g_mid"]) == pytest.approx(float(train["energy_wh_mid"]) / 1000 * 56.039, abs=1e-6)
    assert (train["country"], train["cpu_label"]) == ("FRA", "modelled")


def test_a_label_that_most_records_carry_is_the_runs_though_no_record_weighs_a_tenth() -> None:
    summary = summarise([a_record() for _ in range(20)])
    assert a_record().quality is Label.MODELLED
    assert summary["energy_quality"] == "modelled"
