from pathlib import Path

import msgspec

from peerage.config import DataSettings, Federation, Part
from peerage.launch import summary as s
from peerage.launch.runlog import merge
from peerage.launch.summary_words import in_words, spans
from peerage.metrics import MetricsLog, RoundMetrics, read_metrics
from peerage.status import Status

KEYS = {
    "peers", "rounds", "exchange", "seed", "aggregate_sha256", "accuracy", "seconds", "bytes", "ledger", "rewards",
    "emissions", "missing", "audit",
}  # fmt: skip


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
    }
    return s.Summary(**(plain | more))


def told(**more: object) -> str:
    return in_words(made(**more), Federation(peers=3, cast=(Part(peer="peer-02", behaviour="nan"),)), Path("/runs/x"))


def test_the_keys_that_stay_are_there() -> None:
    document = msgspec.json.decode(made().to_json())
    assert document.keys() >= KEYS
    assert document["schema"] == 1
    assert set(document["accuracy"]) == {"mean", "min", "aggregate", "local_only", "pooled"}
    seconds = {"total", "startup", "training", "exchange", "score", "ledger", "baselines"}
    assert set(document["seconds"]) == seconds
    assert set(document["bytes"]) == {"sent", "raw"}
    assert set(document["ledger"]) == {"engine", "chain_id", "transactions", "gas", "gas_per_peer_round"}
    assert set(document["rewards"]) == {"pool", "paid", "by_peer"}
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
    assert s.missing(metrics, accounts) == (s.Missing(round=2, peer="b", address="0xB"),)


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
    assert "Smallest honest sum that any round revealed: 3 peers" in text
    assert "peerage audit /runs/x" in text
    assert [line.split()[1] for line in text.splitlines() if line.startswith("peer-0")] == ["3.00", "0.00", "0.00"]
    assert "nan" in next(line for line in text.splitlines() if line.startswith("peer-02"))


def test_a_given_country_is_not_called_assumed() -> None:
    assert "ASSUMED" not in told(emissions=s.Emissions(country="DEU", quality="modelled"))


def test_the_verdict_says_pass_only_after_a_clean_audit() -> None:
    assert "PASS" in told(audit=s.Verdict(ok=True))
    assert "2 findings" in told(audit=s.Verdict(ok=False, findings=2))
    assert "PASS" not in told(audit=s.Verdict(ok=False, findings=2))
    assert "Audit: not done." in told()


def test_plain_exchange_promises_nothing() -> None:
    assert "initiators saw single updates" in told(smallest_honest_sum=None)


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
