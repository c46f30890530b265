"""The end of a run in words: figures with their meaning, limits beside them, and what to try next."""

from collections.abc import Iterator
from pathlib import Path

from peerage.config import Federation
from peerage.emissions.network import LEAST, MOST
from peerage.launch.cast import announced
from peerage.launch.faults import Fault
from peerage.launch.live import amount, percent, size
from peerage.launch.overhead import in_words as overhead_in_words
from peerage.launch.selection import in_words as selection_in_words
from peerage.launch.summary import Missing, Summary, gap_recovered
from peerage.privacy.words import in_words as meter_in_words

SHOWN, FEW = 16, 3  # faults in words, and names
_STRENGTH = ("signatures", "many", "word")


def in_words(summary: Summary, federation: Federation, root: Path) -> str:
    return "\n".join(_lines(summary, federation, root))


def _lines(summary: Summary, federation: Federation, root: Path) -> Iterator[str]:
    yield ""
    did = f"trained {summary.rounds} rounds" if summary.selection is None else "chose among finished models"
    yield f"{summary.peers} peers {did} in {summary.seconds.total:.1f} s."
    yield _accuracy(summary)
    if summary.selection is not None:
        yield from selection_in_words(summary.selection)
    yield from _classes(summary)
    yield from _best(summary)
    yield from _groups(summary)
    yield f"Final model: {root / 'model.safetensors'}, named {summary.aggregate_sha256[:16]} (card: MODEL_CARD.md)."
    yield ""
    yield from _peers(summary, federation)
    yield ""
    yield _absences("Missing", summary.missing) or "Nobody was missing from any round."
    yield from _schedule(summary)
    for name, sentence in summary.lost.items():
        yield f"{name} ended unasked: {sentence}"
    yield from _faults(summary.faults)
    yield _chain(summary)
    yield _emissions(summary)
    yield _costs(summary)
    if summary.overhead is not None:
        yield overhead_in_words(summary.overhead)
    yield from _privacy(summary, federation)
    if summary.exchange == "plain":
        pass  # said above
    elif federation.scores.openings == "off":
        yield 'Nothing was scored or paid: scores.openings = "off". The pool stays in the vault.'
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


def _classes(summary: Summary) -> Iterator[str]:
    """Where classes are not alike in size, accuracy is mostly of the large ones."""
    quality = summary.quality
    if quality is None or quality.macro_f1 is None:
        return
    found = ((one.recall, name) for name, one in quality.by_class.items() if one.recall is not None)
    recall, name = min(found)
    area = "unknown" if quality.auroc is None else f"{quality.auroc:.3f}"
    yield (
        f"Every class weighing the same: macro-F1 {quality.macro_f1:.3f}, balanced accuracy "
        f"{percent(quality.balanced_accuracy)}, AUROC {area}; the least found class is {name} ({percent(recall)} of "
        f"{quality.by_class[name].rows}), the largest has {quality.imbalance:.3g} times the rows of the smallest."
    )


def _groups(summary: Summary) -> Iterator[str]:
    """Accuracy where the data are: a group that lags was perhaps left out."""
    if summary.groups is None:
        return
    said = [
        f"{g.name} {percent(g.right / g.rows)} of {g.rows}" if g.rows else f"{g.name} unknown"
        for g in summary.groups.groups
    ]
    yield f"By {summary.groups.by}, on rows that its peers held back: {', '.join(said)}."
    for sentence in summary.groups.lagging:
        yield f"LAGGING: {sentence}."


def _best(summary: Summary) -> Iterator[str]:
    """Which round's model did best on rows that nobody trains on, and whether the rounds after it were in vain."""
    best = summary.best
    if best is None:
        return
    after = summary.rounds - 1 - best.round
    later = f"the {after} counted after it did no better" if after > 0 else "it was the last that could be counted"
    yield (
        f"Best by the rows that all peers hold back, counted under the masks: the model of round {best.round} "
        f"({percent(best.validated)}; {percent(best.accuracy) or 'unknown'} of the test rows), in best.safetensors; "
        f"{later}."
    )


def _peers(summary: Summary, federation: Federation) -> Iterator[str]:
    yield f"{'peer':<10}{'earned PEER':>14}{'mWh':>10}  part"
    for name, account in summary.accounts.items():
        part = announced(federation).get(name, "")
        energy = 1000 * summary.emissions.by_peer.get(account, 0.0)
        yield f"{name:<10}{amount(summary.rewards.by_peer.get(account, '0')):>14}{energy:>10.2f}  {part}".rstrip()
    paid, pool, energy = summary.rewards.paid, summary.rewards.pool, 1000 * summary.emissions.energy_wh
    yield f"{'in all':<10}{amount(paid):>14}{energy:>10.2f}  of a pool of {amount(pool)}"
    if summary.rewards.epochs > 1:
        yield f"Pay was settled {summary.rewards.epochs} times, every {federation.rewards.epoch} rounds."


def _schedule(summary: Summary) -> Iterator[str]:
    """Who rested as agreed, and whose energy nobody has measured."""
    told = summary.schedule
    if told is None:
        return
    yield _absences(f"Resting by the schedule ({told.policy})", summary.resting) or (
        f"Nobody rested: the schedule ({told.policy}) gave everybody each turn."
    )
    if told.slots:
        yield f"The {len(told.slots)} rounds that all could pay fell in slots {spans(list(told.slots))} of energy."
    names = {address: name for name, address in summary.accounts.items()}
    for one in told.profiles:
        if one.synthetic:
            yield f"SYNTHETIC: the energy of {names.get(one.peer, one.peer)} ({one.profile}) was made up, not measured."


def _absences(what: str, absent: tuple[Missing, ...]) -> str:
    if not absent:
        return ""
    rounds: dict[str, list[int]] = {}
    for one in absent:
        rounds.setdefault(one.peer, []).append(one.round)
    said = "; ".join(f"{peer} in round{'s' * (len(r) > 1)} {spans(r)}" for peer, r in rounds.items())
    return f"{what}: {said}."


def _faults(faults: tuple[Fault, ...]) -> Iterator[str]:
    """One line for each peer and fault, with what it rests on: what convicts first, a few peers' word last."""
    if not faults:
        yield "Nobody wrote down a fault of anybody."
        return
    same: dict[tuple[str, str], list[Fault]] = {}
    for fault in faults:
        same.setdefault((fault.peer, fault.sentence), []).append(fault)
    yield "Faults, and what each rests on:"
    for peer, sentence in sorted(same, key=lambda key: (_strength(same[key]), key))[:SHOWN]:
        found = same[peer, sentence]
        rounds = sorted({fault.round for fault in found})
        where = f"round{'s' * (len(rounds) > 1)} {spans(rounds)}"
        yield f"  {peer or 'somebody'} in {where}: {sentence} [{_basis(peer, found)}]"
    if len(same) > SHOWN:
        yield f"  ... and {len(same) - SHOWN} more (summary.json lists all)."


def _strength(found: list[Fault]) -> int:
    return min(_STRENGTH.index(fault.proof) for fault in found)


def _basis(peer: str, found: list[Fault]) -> str:
    by = sorted({name for fault in found for name in fault.by})
    strongest = min(found, key=lambda fault: _STRENGTH.index(fault.proof))
    if strongest.proof == "signatures":
        return f"PROVEN by two signatures of its own, {strongest.evidence[:22]}"
    if by == [peer]:
        return f"says it of itself, {strongest.evidence}"
    who = f"{len(by)} peers" if len(by) > FEW else " and ".join(by)
    if strongest.proof == "many":
        return f"no signature proves it, {who} say so, more than can collude: {strongest.evidence}"
    return f"the word of {who} alone, which a late message explains as well: {strongest.evidence}"


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


def _costs(summary: Summary) -> str:
    """What hiding and recording took of the peers' energy, and what lies beyond it."""
    phases = summary.emissions.by_phase
    hiding = 1000 * sum(phases.get(phase, 0.0) for phase in ("mask", "unmask"))
    least, most = (network.energy(summary.bytes.sent).mid / 3.6e6 for network in (LEAST, MOST))
    masks = f"masking took {hiding:.2f} mWh (larger messages not counted), " if summary.exchange == "masked" else ""
    return (
        f"Of that {masks}the ledger {1000 * phases.get('ledger', 0.0):.2f} mWh. Beyond it, in no sum: the chain's own "
        f"nodes, and a network, which would take {least:.2g} to {most:.2g} mWh for these bytes by published figures."
    )


def _privacy(summary: Summary, federation: Federation) -> Iterator[str]:
    if summary.smallest_honest_sum is None or summary.privacy is None:
        yield "Exchange was plain: initiators saw single updates. It pays nothing: the pool stays in the vault."
        return
    yield f"Promised for any round of all peers: sums of {summary.smallest_honest_sum} honest peers at least."
    if federation.model.clusters:
        yield (
            "What follows is of all versions together: a version that one peer alone trained in a round shows that "
            "peer's update, though not whose it is."
        )
    names = {address: name for name, address in summary.accounts.items()}
    openings = federation.scores.openings != "off"
    clip, sketches = federation.masking.clip, federation.robust.sketches
    yield from meter_in_words(summary.privacy, names, clip=clip, openings=openings, sketches=sketches)
    cut = summary.clipped
    yield f"Clipped: {cut.updates} of {cut.of} updates, {cut.coordinates} coordinates (counted under the masks)."


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
