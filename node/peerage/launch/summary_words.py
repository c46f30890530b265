"""The end of a run in words: figures with their meaning, limits beside them, and what to try next."""

from collections.abc import Iterator
from pathlib import Path

from peerage.config import Federation
from peerage.launch.live import amount, percent, size
from peerage.launch.summary import Missing, Summary, gap_recovered


def in_words(summary: Summary, federation: Federation, root: Path) -> str:
    return "\n".join(_lines(summary, federation, root))


def _lines(summary: Summary, federation: Federation, root: Path) -> Iterator[str]:
    yield ""
    yield f"{summary.peers} peers trained {summary.rounds} rounds in {summary.seconds.total:.1f} s."
    yield _accuracy(summary)
    yield f"Final model: {root / 'model.safetensors'}, named {summary.aggregate_sha256[:16]} (card: MODEL_CARD.md)."
    yield ""
    yield from _peers(summary, federation)
    yield ""
    yield _absences(summary.missing)
    for name, sentence in summary.lost.items():
        yield f"{name} ended unasked: {sentence}"
    yield _chain(summary)
    yield _emissions(summary)
    yield _privacy(summary, federation)
    if summary.exchange == "plain":
        pass  # said above
    elif summary.validation:
        yield f"Scores were measured on {summary.validation}; a contribution is to this utility at this time."
    else:
        yield (
            "Nothing was scored or paid: no validation rows are declared. Name a public file (--validation-file FILE), "
            "or a peer that donates a tenth of its rows (--validation-donor PEER)."
        )
    yield _verdict(summary)
    yield ""
    yield f"Everything is in {root}."
    yield "Try next: flip one byte in a file of store/, or edit a line of peers/*/journal.jsonl, and audit again:"
    yield f"  peerage audit {root}"


def _accuracy(summary: Summary) -> str:
    accuracy = summary.accuracy
    recovered = gap_recovered(accuracy)
    said = [f"federated {percent(accuracy.aggregate) or 'unknown'}"]
    if accuracy.local_only is not None:
        said.insert(0, f"alone {percent(accuracy.local_only)} (mean)")
    if accuracy.pooled is not None:
        said.append(f"all rows in one place {percent(accuracy.pooled)}")
    gap = "" if recovered is None or not 0 <= recovered <= 1.5 else f": {100 * recovered:.0f} % of the gap recovered"
    return f"Accuracy on the test rows: {', '.join(said)}{gap}."


def _peers(summary: Summary, federation: Federation) -> Iterator[str]:
    yield f"{'peer':<10}{'earned PEER':>14}{'mWh':>10}  part"
    for name, account in summary.accounts.items():
        behaviour = federation.part(name).behaviour
        part = "" if behaviour == "honest" else behaviour
        energy = 1000 * summary.emissions.by_peer.get(account, 0.0)
        yield f"{name:<10}{amount(summary.rewards.by_peer.get(account, '0')):>14}{energy:>10.2f}  {part}".rstrip()
    paid, pool, energy = summary.rewards.paid, summary.rewards.pool, 1000 * summary.emissions.energy_wh
    yield f"{'in all':<10}{amount(paid):>14}{energy:>10.2f}  of a pool of {amount(pool)}"


def _absences(absent: tuple[Missing, ...]) -> str:
    if not absent:
        return "Nobody was missing from any round."
    rounds: dict[str, list[int]] = {}
    for one in absent:
        rounds.setdefault(one.peer, []).append(one.round)
    said = "; ".join(f"{peer} in round{'s' * (len(r) > 1)} {spans(r)}" for peer, r in rounds.items())
    return f"Missing: {said}."


def spans(numbers: list[int]) -> str:
    """`1-3, 7` of [1, 2, 3, 7]."""
    runs: list[list[int]] = []
    for number in sorted(numbers):
        if runs and number == runs[-1][-1] + 1:
            runs[-1].append(number)
        else:
            runs.append([number])
    return ", ".join(str(run[0]) if len(run) == 1 else f"{run[0]}-{run[-1]}" for run in runs)


def _chain(summary: Summary) -> str:
    cost = summary.ledger
    if cost.gas is None or cost.gas_per_peer_round is None:
        return f"Ledger: {cost.engine}, chain {cost.chain_id}; it could not be asked for the gas any more."
    return (
        f"Ledger: {cost.engine}, chain {cost.chain_id}: {cost.transactions} transactions after set-up, {cost.gas} gas, "
        f"{cost.gas_per_peer_round:.0f} gas per peer and round; {size(summary.bytes.sent)} sent between peers."
    )


def _emissions(summary: Summary) -> str:
    e = summary.emissions
    assumed = "" if e.country and "not given" not in e.country else " ASSUMED: country not given (--country ISO3);"
    return (
        f"Energy: {1000 * e.energy_wh:.1f} mWh; CO2e {1000 * e.co2e_g.low:.1f} to {1000 * e.co2e_g.high:.1f} mg "
        f"(middle {1000 * e.co2e_g.mid:.1f});{assumed} quality {e.quality}."
    )


def _privacy(summary: Summary, federation: Federation) -> str:
    if summary.smallest_honest_sum is None:
        return "Exchange was plain: initiators saw single updates. It pays nothing: the pool stays in the vault."
    clip = federation.masking.clip
    return (
        f"Smallest honest sum that any round revealed: {summary.smallest_honest_sum} peers. Opened besides: one number "
        f"per peer and round, for pay. Updates clipped at L2 norm {clip:g}; no differential privacy (epsilon: none)."
    )


def _verdict(summary: Summary) -> str:
    audit = summary.audit
    if audit.ok is None:
        return "Audit: not done."
    if audit.ok:
        return (
            "Audit: PASS. It added the masked vectors up again, recomputed models, scores and payouts from artefacts, "
            "and compared them with the peers' signatures and the archived chain; nothing printed above was trusted."
        )
    return f"Audit: {audit.findings} findings; `peerage audit` lists them with round, peer and fault."
