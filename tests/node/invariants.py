"""What must hold after every schedule, however bad the network was and whoever was killed when."""

from collections import defaultdict

import numpy as np
import sim_ledger
from simulator import Host, Simulation

from peerage import messages as m
from peerage_crypto.crossfit import sums_of
from peerage_crypto.masking import total_of
from peerage_crypto.opening import Openings, Pledge
from peerage_crypto.secagg_sum import ring_bytes
from peerage_crypto.session import Revealed, SessionTranscript
from peerage_crypto.thresholds import opening_quorum
from peerage_ledger.rewards import totals
from peerage_ledger.transcript import NOTHING, as_opened, decode_session

WITHIN = 2  # rounds after the last fault
ONCE = {
    "Opened",
    "JoinIntent",
    "ShareKeys",
    "MaskedUpdate",
    "Vote",
    "ResultAck",
    "PathGradient",
    "Opening",
    "Sketch",
    "Screening",
}


def check(sim: Simulation, *, everybody: bool = True) -> None:
    """All invariants; `everybody` says that no peer was left dead."""
    honest = [h for h in sim.hosts.values() if h.account.address not in sim.cheats]
    alive = [h for h in honest if h.alive]
    if everybody:
        assert len(alive) == len(honest)
    assert all(h.finished for h in alive), "alive peers finish"
    sums = revealed_sums(sim)
    agreed(sim, alive)
    versions_in_one_sum(sim, sums)
    never_both_secrets(sim)
    legal_rosters(sim, sums)
    plain_sums(sim, sums)
    plain_numbers(sim, alive, sums)
    pool_conserved(sim, alive)
    signed_once(honest)
    versions_rise(honest)
    lively(sim, alive)
    gated(sim)
    shown_when_all_had_committed(sim)
    halves_add_up(sim, alive)
    assert not sim.broken, sim.broken[0]
    if sim.node is not None:
        sim_ledger.recorded_once(sim, alive)
        sim_ledger.paid_once(sim, alive)
        sim_ledger.sent_once(sim)
        sim_ledger.nothing_left(sim, alive)


def revealed_sums(sim: Simulation) -> dict[bytes, SessionTranscript]:
    """Every session whose sum was announced and is not a lie, closed or not, by sid."""
    stored = sim.archive
    results = {(who in sim.cheats, x.session) for who, _, x in sim.wire if isinstance(x, m.Result)}
    closed = {j.transcript.session for h in sim.hosts.values() for j in h.engine.history}
    sessions = {s for cheats, s in results if not cheats} | closed
    transcripts = [decode_session(stored[s]) for s in sorted(sessions) if s in stored]
    return {t.opened.statement.sid: t for t in transcripts}


def survivors(sim: Simulation, transcript: SessionTranscript) -> list[tuple[bytes, int]]:
    """Who is in a sum, with which version."""
    bits, domain = int.from_bytes(transcript.u3, "little"), sim.federation.domain
    return [(j.signer(domain), j.statement.version) for i, j in enumerate(transcript.joins) if bits >> i & 1]


def agreed(sim: Simulation, alive: list[Host]) -> None:
    """Everybody stands on the same rounds, and they follow each other."""
    chains = {tuple(j.standing.record for j in h.engine.history) for h in alive}
    assert len(chains) == 1, "all peers agree"
    rounds = [j.transcript.round for j in alive[0].engine.history]
    assert rounds == list(range(1, sim.rules.rounds + 1))


def versions_in_one_sum(sim: Simulation, sums: dict[bytes, SessionTranscript]) -> None:
    """A version goes into at most one sum, ever."""
    everything = [entry for transcript in sums.values() for entry in survivors(sim, transcript)]
    assert len(everything) == len(set(everything)), "a version went into two sums"


def legal_rosters(sim: Simulation, sums: dict[bytes, SessionTranscript]) -> None:
    """No sum is over a roster that friends of the initiator could be alone in (docs/round.md, How many peers)."""
    registered = len(sim.hosts)
    least = (registered // 4 if registered > 3 else 0) + 3
    for transcript in sums.values():
        assert len(transcript.joins) >= least, "a sum over a roster smaller than is legal"


def never_both_secrets(sim: Simulation) -> None:
    """Of one peer in one session the self seed or the mask key is shown, never both."""
    shown: defaultdict[tuple[bytes, bytes], set[str]] = defaultdict(set)
    for _, _, message in sim.wire:
        if isinstance(message, Revealed):
            for share in message.shares:
                assert (share.self_seed is None) == (share.mask_key is not None)
                shown[message.sid, share.owner].add("seed" if share.self_seed else "key")
    assert all(len(kinds) == 1 for kinds in shown.values()), "both secrets of one peer were shown"


def plain_sums(sim: Simulation, sums: dict[bytes, SessionTranscript]) -> None:
    """The unmasked sum is the integer sum of what the survivors put in."""
    stored = sim.archive
    for sid, transcript in sums.items():
        vectors = [sim.plain[sid, peer] for peer, _ in survivors(sim, transcript)]
        total, ring = total_of(vectors, sim.federation.ring), sim.federation.ring
        buckets = np.frombuffer(stored[transcript.sum_artefact], total.dtype).reshape(-1, total.size)
        assert ring_bytes(total) == ring_bytes(total_of(list(buckets), ring)), "the sum is not the sum"


def plain_numbers(sim: Simulation, alive: list[Host], sums: dict[bytes, SessionTranscript]) -> int:
    """Every opened number is the inner product of the plain update with the direction, bit for bit."""
    stored = sim.archive
    opened = 0
    for judged in alive[0].engine.history:
        t = judged.transcript
        if t.direction == NOTHING:
            continue
        rows = np.frombuffer(stored[t.direction], "<i4").astype(np.int64).reshape(-1, sim.exchanged)
        for (peer, _), number in zip(survivors(sim, sums[t.sid]), as_opened(t), strict=True):
            if number is not None and peer not in sim.cheats:
                g = rows[judged.proven.halves.of(peer) if judged.proven.halves else 0]
                q = sim.plain[t.sid, peer].view(f"i{sim.plain[t.sid, peer].itemsize}")[-g.size :].astype(np.int64)
                assert number == int(q @ g), "an opened number is not < q , g >"
                opened += 1
    return opened


def pool_conserved(sim: Simulation, alive: list[Host]) -> None:
    """Each round's pot goes out whole or not at all, and what is published is what the rounds give."""
    for pay in alive[0].engine.pay:
        assert sum(pay.shares.values()) in {0, pay.pot}
    assert sum(totals(alive[0].engine.pay).values()) <= sim.rules.pool
    rounds, length = sim.rules.rounds, sim.rules.epoch or sim.rules.rounds
    assert {root.epoch for root, _, _ in sim.published} == set(range(1, -(-rounds // length) + 1))
    for root, _, published in sim.published:
        earned = totals(alive[0].engine.pay[: min(rounds, root.epoch * length)])
        assert published == earned
        assert root.total == sum(earned.values())


def signed_once(honest: list[Host]) -> None:
    """No honest peer signs two statements of one type in one session, in all its lives together."""
    for host in honest:
        taken: dict[tuple[str, str], str] = {}
        for entry in host.journal:
            if entry.kind == "signed" and entry.fields["type"] in ONCE:
                slot = (entry.fields["sid"], entry.fields["type"])
                assert taken.setdefault(slot, entry.fields["digest"]) == entry.fields["digest"], slot
        voted = {sid for sid, kind in taken if kind == "Vote"}
        abstained = {e.fields["sid"] for e in host.journal if e.kind == "signed" and e.fields["type"] == "Abstention"}
        assert not voted & abstained, "voted and abstained"


def gated(sim: Simulation) -> None:
    """Pair numbers leave an honest peer only when a quorum of survivors has pledged the same direction."""
    pledged: defaultdict[tuple[bytes, bytes], set[bytes]] = defaultdict(set)
    survived = {j.transcript.sid: j.proven for h in sim.hosts.values() for j in h.engine.history}
    for sender, _, message in sim.wire:
        if isinstance(message, Pledge):
            pledged[message.sid, message.signed.statement.direction].add(sender)
        elif isinstance(message, Openings) and message.sid in survived and sender not in sim.cheats:
            proven = survived[message.sid]
            needed = opening_quorum(len(proven.u3), proven.roster.limits.colluders)
            known = pledged[message.sid, message.signed.statement.direction]
            assert len(known) >= needed, "numbers left before a quorum had pledged their direction"


def shown_when_all_had_committed(sim: Simulation) -> None:
    """A path gradient leaves an honest peer only when every survivor of its session has committed to its own."""
    committed: defaultdict[bytes, set[bytes]] = defaultdict(set)
    survived = {j.transcript.sid: j.proven for h in sim.hosts.values() for j in h.engine.history}
    for sender, _, message in sim.wire:
        if isinstance(message, m.Gradient):
            committed[message.sid].add(sender)
            if message.artefact is not None and message.sid in survived and sender not in sim.cheats:
                assert committed[message.sid] >= set(survived[message.sid].u3), "a path gradient left too early"


def halves_add_up(sim: Simulation, alive: list[Host]) -> None:
    """What a scored round's masked path gradients add up to is the sum of what the survivors of each half measured."""
    for judged in alive[0].engine.history:
        halves, shown = judged.proven.halves, judged.transcript.gradients
        if halves is None or not shown or sim.cheats.keys() & set(judged.proven.u3):
            continue
        blobs = {p: sim.archive[one.artefact] for p, one in zip(judged.proven.u3, shown, strict=True)}
        plain = [sum(sim.gradients[judged.transcript.sid, p] for p in half) for half in halves.members]
        sums = sums_of(halves, blobs)
        if isinstance(sums, str):  # of one coordinate gradients are 1 and -1, and an even half may come to nothing
            assert not all(np.any(one) for one in plain), f"two halves that add up: {sums}"
            continue
        for total, one in zip(sums, plain, strict=True):
            assert np.array_equal(total, one), "a half's sum is not the sum of its path gradients"


def lively(sim: Simulation, alive: list[Host]) -> None:
    """Once the faults have ceased, every living peer's work is in one of the next WITHIN rounds.

    Bad weather that never ends is a fault that never ceases; so is a peer that trains slowly.
    """
    within = WITHIN + any(h.forgetful for h in alive)  # who lost its disk sits out the record that it finds
    if sim.weather.loss or sim.weather.fetch_loss or sim.rules.rounds < sim.last_fault_round + within:
        return
    if len({sim.train_seconds(h) for h in alive}) > 1:
        return
    first = sim.last_fault_round
    rounds = alive[0].engine.history[first : first + within]
    for host in alive:
        if host.engine.ill_on is not None:
            continue  # its own training failed: it sat a round out
        assert any(host.account.address in j.proven.u3 for j in rounds), (
            f"{host.name} was not merged in {within} rounds"
        )


def versions_rise(honest: list[Host]) -> None:
    """What a version stands for never changes once it was locked for a session, in all lives together."""
    for host in honest:
        locked = -1
        for entry in host.journal:
            if entry.kind == "locked":
                locked = max(locked, entry.fields["version"])
            elif entry.kind == "trained":
                assert entry.fields["version"] > locked, "a version that was locked before is trained again"


def faults(sim: Simulation) -> list[tuple[str, str, str]]:
    """(who wrote it, culprit, sentence) of every fault in a journal."""
    return [
        (h.name, name_of(sim, e.fields["culprit"]), e.fields["sentence"])
        for h in sim.hosts.values()
        for e in h.journal
        if e.kind == "fault"
    ]


def name_of(sim: Simulation, address: str) -> str:
    """A peer's name from the journal's 0x... address."""
    return sim.hosts[bytes.fromhex(address[2:])].name if address else ""
