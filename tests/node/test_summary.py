from pathlib import Path

import msgspec
import pytest
from msgspec.structs import replace

from peerage.comparison import MEASURES
from peerage.config import (
    DataSettings,
    Federation,
    MaskingSettings,
    Part,
    PrivacySettings,
    RobustSettings,
    ScoreSettings,
)
from peerage.launch import summary as s
from peerage.launch.groups import Group, Groups
from peerage.launch.runlog import merge
from peerage.launch.summary_words import in_words, spans
from peerage.metrics import MetricsLog, RoundMetrics, read_metrics
from peerage.privacy.meter import PrivacySummary
from peerage.report.reading import Told
from peerage.report.sections.accuracy import body
from peerage.report.sections.groups import body as groups_body
from peerage.status import Status

KEYS = {
    "peers", "rounds", "exchange", "seed", "aggregate_sha256", "accuracy", "seconds", "bytes", "ledger", "rewards",
    "emissions", "missing", "audit",
}  # fmt: skip


ALL = ("0xA", "0xB", "0xC")


def made(**more: object) -> s.Summary:
    plain = {
        "name": "demo",
        "peers": 3,
        "rounds": 2,
        "exchange": "masked",
        "seed": 0,
        "aggregate_sha256": "ab" * 32,
        "accuracy": s.Accuracy(mean=0.9, min=0.8, aggregate=0.95, local_only=0.85, pooled=0.97),
        "seconds": s.Seconds(total=4.25),
        "bytes": s.Traffic(sent=1500, raw=1000),
        "ledger": s.LedgerCost(engine="anvil", chain_id=31337, transactions=3, gas=6000, gas_per_peer_round=1000.0),
        "rewards": s.Rewards(pool="9" + "0" * 18, paid="3" + "0" * 18, by_peer={"0xA": "3" + "0" * 18}),
        "emissions": s.Emissions(energy_wh=0.01, country="assumed: country not given", by_peer={"0xA": 0.01}),
        "missing": (s.Missing(round=1, peer="peer-02"), s.Missing(round=2, peer="peer-02")),
        "smallest_honest_sum": 3,
        "validation": "the declared public slice of digits",
        "accounts": {"peer-01": "0xA", "peer-02": "0xB", "peer-03": "0xC"},
        "privacy": metered(Federation(peers=3)),
    }
    return s.Summary(**(plain | more))


def metered(federation: Federation) -> PrivacySummary | None:
    """Round 1 with all, round 2 without peer-02; one number of each opened in round 1."""
    accounts = {"peer-01": "0xA", "peer-02": "0xB", "peer-03": "0xC"}
    lines = (
        RoundMetrics(round=1, sid="1", roster=ALL, sums=(ALL,), opened=ALL, parameters=10),
        RoundMetrics(round=2, sid="2", roster=ALL, sums=(("0xA", "0xC"),), parameters=10),
    )
    return s.privacy(federation, {"peer-01": lines, "peer-03": lines}, accounts, {"peer-02": ("2", "3")})


def told(**more: object) -> str:
    return in_words(made(**more), Federation(peers=3, cast=(Part(peer="peer-02", behaviour="nan"),)), Path("/runs/x"))


def test_the_keys_that_stay_are_there() -> None:
    document = msgspec.json.decode(made().to_json())
    assert document.keys() >= KEYS
    assert document["schema"] == 2
    assert set(document["accuracy"]) == {"mean", "min", "aggregate", "local_only", "pooled"}
    seconds = {"total", "startup", "training", "exchange", "score", "ledger", "baselines"}
    assert set(document["seconds"]) == seconds
    assert set(document["bytes"]) == {"sent", "raw"}
    assert set(document["ledger"]) == {"engine", "chain_id", "transactions", "gas", "gas_per_peer_round"}
    assert set(document["rewards"]) == {"pool", "paid", "epochs", "by_peer"}
    assert {"energy_wh", "co2e_g", "by_phase", "quality", "country"} <= set(document["emissions"])
    assert set(document["audit"]) == {"ok", "findings"}


def test_amounts_are_strings_since_json_numbers_lose_units() -> None:
    document = msgspec.json.decode(made().to_json())
    assert document["rewards"]["paid"] == "3000000000000000000"


def test_what_is_unknown_is_null() -> None:
    unknown = made(accuracy=s.Accuracy(aggregate=0.5), ledger=s.LedgerCost(engine="anvil", chain_id=1))
    document = msgspec.json.decode(unknown.to_json())
    assert document["accuracy"]["pooled"] is None
    assert document["ledger"]["gas"] is None
    assert document["audit"]["ok"] is None


def test_the_gap_is_the_share_of_the_way_to_pooled() -> None:
    assert s.gap_recovered(s.Accuracy(local_only=0.5, aggregate=0.875, pooled=1.0)) == 0.75
    assert s.gap_recovered(s.Accuracy(local_only=0.9, aggregate=0.95, pooled=0.9)) is None
    assert s.gap_recovered(s.Accuracy(aggregate=0.95)) is None


def test_missing_are_the_registered_without_a_place_in_the_sum() -> None:
    accounts = {"a": "0xA", "b": "0xB"}
    metrics = {
        "a": (RoundMetrics(round=1, survivors=("0xA", "0xB")), RoundMetrics(round=2, survivors=("0xA",))),
        "b": (RoundMetrics(round=1, survivors=("0xA", "0xB")),),
    }
    assert s.absent(metrics, accounts) == (s.Missing(round=2, peer="b", address="0xB"),)


def test_the_aggregate_is_the_newest_round_and_there_the_majority() -> None:
    line = lambda n, name: RoundMetrics(round=n, aggregate=name, accuracy=0.5)  # noqa: E731
    metrics = {"a": (line(1, "x"), line(2, "y")), "b": (line(2, "y"),), "c": (line(2, "z"),), "d": ()}
    assert s.last_aggregate(metrics) == "y"
    assert s.aggregate_accuracy(metrics, "y") == 0.5
    assert s.last_aggregate({"a": ()}) == ""


def test_traffic_counts_only_updates_that_went_in() -> None:
    metrics = {"a": (RoundMetrics(round=1, parameters=10), RoundMetrics(round=2, parameters=10, took_part=False))}
    statuses = {"a": Status(peer="a", state="finished", bytes_sent=50), "b": Status(peer="b", state="finished")}
    assert s.traffic(metrics, statuses) == s.Traffic(sent=50, raw=40)


def test_phases_are_means_over_peers() -> None:
    metrics = {"a": (RoundMetrics(round=1, seconds={"mask": 1.0, "train": 9.0}),), "b": ()}
    assert s.phase_seconds(metrics, ("mask", "unmask")) == 0.5


def test_the_words_say_what_a_person_must_know() -> None:
    text = told()
    assert "alone 85.0 % (mean), federated 95.0 %, all rows in one place 97.0 %: 83 % of the gap" in text
    assert "Missing: peer-02 in rounds 1-2." in text
    assert "ASSUMED: country not given" in text
    assert "1000 gas per peer and round" in text
    assert "sums of 3 honest peers at least" in text
    assert "every sum held at least 2 honest peers if 0 collude; opened besides: up to 1 numbers" in text
    assert "Two sums differed by 1 of their peers at the least; the fewest peers whose sum is known are 1" in text
    assert "would give away peer-02 since round 2" in text
    assert "no differential privacy (epsilon: none)" in text
    assert "peerage audit /runs/x" in text
    assert [line.split()[1] for line in text.splitlines() if line.startswith("peer-0")] == ["3.00", "0.00", "0.00"]
    assert "nan" in next(line for line in text.splitlines() if line.startswith("peer-02"))


def test_every_peer_has_a_meter_that_programs_read() -> None:
    found = msgspec.json.decode(made().to_json())["privacy"]
    assert set(found["by_peer"]) == set(ALL)
    meter = found["by_peer"]["0xB"]
    assert (meter["sums"], meter["perhaps"], meter["solved_in_round"], meter["hidden_among"]) == (1, 1, 2, 1)
    assert meter["epsilon"] is None
    assert found["by_peer"]["0xA"]["numbers_opened"] == 1


def test_with_noise_epsilon_is_said_with_its_unit_and_against_whom() -> None:
    noisy = Federation(
        peers=3,
        privacy=PrivacySettings(noise=2.0),
        scores=ScoreSettings(openings="off"),
        masking=MaskingSettings(clip=1.0, frac_bits=10),
    )
    text = in_words(made(privacy=metered(noisy)), noisy, Path("/runs/x"))
    assert "noise 2 at clip 1, unit one peer's whole update" in text
    assert "After 2 sums epsilon is " in text
    assert "at delta 1e-05 against outsiders, the initiator" in text
    assert "if all others collude" in text
    assert "Nothing was scored or paid: scores.openings" in text
    weak = replace(noisy, privacy=PrivacySettings(noise=0.01))
    assert "epsilon is too large to state" in in_words(made(privacy=metered(weak)), weak, Path("/runs/x"))


def test_a_given_country_is_not_called_assumed() -> None:
    assert "ASSUMED" not in told(emissions=s.Emissions(country="DEU", quality="modelled"))


def test_the_verdict_says_pass_only_after_a_clean_audit() -> None:
    assert "PASS" in told(audit=s.Verdict(ok=True))
    assert "2 findings" in told(audit=s.Verdict(ok=False, findings=2))
    assert "PASS" not in told(audit=s.Verdict(ok=False, findings=2))
    assert "Audit: not done." in told()


def test_plain_exchange_promises_nothing() -> None:
    assert "initiators saw single updates" in told(smallest_honest_sum=None)


def test_a_group_that_lags_is_said_in_words_and_on_the_page() -> None:
    north = Group(
        name="north", peers=("peer-01",), taken=2, turns=2, weight=0.4, rows=100, right=95, mean=0.95, worst=0.95
    )
    south = Group(name="so<uth", peers=("peer-02", "peer-03"), rows=0)
    summary = made(groups=Groups(by="region", groups=(north, south), lagging=("so<uth lags",)))
    text = in_words(summary, Federation(peers=3), Path("/runs/x"))
    assert "By region, on rows that its peers held back: north 95.0 % of 100, so<uth unknown." in text
    assert "LAGGING: so<uth lags." in text
    page = groups_body(Told(Path("/runs/x"), summary, {}, (), (), None, ())).text
    assert "Lagging: so&lt;uth lags." in page
    for cell in ("2 of 2", "40.0", "95.0", "unknown"):
        assert cell in page
    (measure,) = [m for m in MEASURES if m.key == "accuracy_group"]
    assert (measure.of(summary), measure.of(made())) == (95.0, None)
    assert msgspec.json.decode(summary.to_json(), type=s.Summary) == summary
    assert "Nothing divides the peers" in groups_body(Told(Path("/runs/x"), made(), {}, (), (), None, ())).text
    assert "By region" not in told()


def test_rows_of_numbers_are_spans() -> None:
    assert spans([3, 1, 2, 7]) == "1-3, 7"


def test_whose_rows_the_scores_use_is_named() -> None:
    donated = Federation(data=DataSettings(validation_donor="peer-02"))
    assert "peer-02" in s.validation_of(donated)


def test_a_torn_line_of_metrics_is_left_out(tmp_path: Path) -> None:
    path = tmp_path / "metrics.jsonl"
    MetricsLog(path).append(RoundMetrics(round=1))
    with path.open("ab") as file:
        file.write(b'{"round": 2, "ag')
    assert [line.round for line in read_metrics(path)] == [1]


def test_logs_are_merged_by_time_and_tracebacks_stay_whole() -> None:
    launcher = "2026-01-01 10:00:01,000 launcher: b\n"
    peer = "2026-01-01 10:00:00,500 a\nTraceback\n2026-01-01 10:00:02,000 c\n"
    assert merge(launcher, {"peer-01": peer}).splitlines() == [
        "2026-01-01 10:00:00,500 peer-01: a",
        "    Traceback",
        "2026-01-01 10:00:01,000 launcher: b",
        "2026-01-01 10:00:02,000 peer-01: c",
    ]


def test_a_rounds_clips_are_counted_once_not_by_everybody_who_reports_them() -> None:
    first = RoundMetrics(round=1, survivors=("0xA", "0xB"), clipped_updates=1, clipped_coordinates=7)
    second = RoundMetrics(round=2, survivors=("0xA",), clipped_updates=1)
    found = s.clipped({"a": (first, second), "b": (first,)})
    assert (found.updates, found.of, found.coordinates) == (2, 3, 7)


def test_the_projections_that_sketches_open_are_said() -> None:
    screened = Federation(peers=3, robust=RobustSettings(sketches=8))
    assert "before its sum: 8 random projections of every update" in in_words(made(), screened, Path("/runs/x"))
    assert "projections" not in in_words(made(), Federation(peers=3), Path("/runs/x"))


def test_what_hiding_and_recording_took_is_said_and_what_is_in_no_sum() -> None:
    phases = {"train": 0.008, "mask": 0.0004, "unmask": 0.0002, "ledger": 0.0001}
    emissions = s.Emissions(energy_wh=0.01, country="DEU", by_phase=phases)
    text = in_words(
        made(emissions=emissions, bytes=s.Traffic(sent=2_000_000, raw=1000)), Federation(peers=3), Path("r")
    )
    assert "Of that masking took 0.60 mWh (larger messages not counted), the ledger 0.10 mWh." in text
    assert "2 to 1.8e+03 mWh for these bytes by published figures" in text, "0.001 and 0.884 kWh per GB"
    assert "Energy: 10.0 mWh" in text, "the network is in no sum"
    plain = made(emissions=emissions, exchange="plain", smallest_honest_sum=None, privacy=None)
    assert "masking took" not in in_words(plain, Federation(peers=3), Path("r"))


SKEWED = s.Quality(
    macro_f1=0.6,
    balanced_accuracy=0.55,
    auroc=0.8,
    imbalance=19.0,
    by_class={
        "well": s.ClassQuality(rows=95, recall=1.0, precision=0.95, f1=0.97, auroc=0.8),
        "<ill>": s.ClassQuality(rows=5, recall=0.1, precision=0.5, f1=0.17, auroc=0.8),
        "unseen": s.ClassQuality(rows=0),
    },
)


def test_the_class_that_is_found_least_is_named_in_words_report_and_comparison() -> None:
    skewed = made(quality=SKEWED)
    assert msgspec.json.decode(skewed.to_json(), type=s.Summary) == skewed
    words = in_words(skewed, Federation(peers=3), Path("runs/x"))
    assert (
        "macro-F1 0.600, balanced accuracy 55.0 %, AUROC 0.800; the least found class is <ill> (10.0 % of 5)" in words
    )
    assert "macro-F1" not in in_words(made(), Federation(peers=3), Path("runs/x"))
    line = RoundMetrics(round=1, accuracy=0.95)
    section = body(Told(Path("x"), skewed, {"peer-01": (line,)}, (), (), None, ())).text
    assert section.index("&lt;ill&gt;") < section.index("well") < section.index("unseen")
    known = {measure.key: measure.of(skewed) for measure in MEASURES}
    assert (known["macro_f1"], known["balanced_accuracy"], known["auroc"]) == (0.6, 55.00000000000001, 0.8)
    assert {measure.of(made()) for measure in MEASURES if measure.key in ("macro_f1", "auroc")} == {None}


@pytest.mark.parametrize(("round_", "says"), [(3, "the 6 counted after it did no better"), (9, "the last that could")])
def test_the_best_round_and_what_came_after_it_are_told(round_: int, says: str) -> None:
    best = s.Best(round=round_, aggregate_sha256="cd" * 32, validated=0.9, accuracy=0.91)
    words = in_words(made(rounds=10, best=best), Federation(peers=3), Path("runs/x"))
    assert f"the model of round {round_} (90.0 %; 91.0 % of the test rows), in best.safetensors" in words
    assert says in words
