"""What must hold after every schedule, however bad the network was and whoever was killed when."""

from collections import defaultdict

import numpy as np
from simulator import Host, Simulation

from peerage import messages as m
from peerage_crypto.secagg_collector import ring_bytes
from peerage_crypto.session import Revealed, SessionTranscript
from peerage_ledger.rewards import totals
from peerage_ledger.transcript import NOTHING, decode_session

ONCE = {"Opened", "JoinIntent", "ShareKeys", "MaskedUpdate", "Vote", "ResultAck", "Opening"}


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
    plain_sums(sim, sums)
    plain_numbers(sim, alive, sums)
    pool_conserved(sim, alive)
    signed_once(honest)


def revealed_sums(sim: Simulation) -> dict[bytes, SessionTranscript]:
    """Every session whose sum was announced and is not a lie, closed or not, by sid."""
    stored = {k: blob for h in sim.hosts.values() for k, blob in h.holdings.items()}
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
    stored = {k: blob for h in sim.hosts.values() for k, blob in h.holdings.items()}
    for sid, transcript in sums.items():
        vectors = [sim.plain[sid, peer] for peer, _ in survivors(sim, transcript)]
        total = np.add.reduce(vectors, dtype=sim.federation.ring.dtype)
        assert ring_bytes(total) == stored[transcript.sum_artefact], "the sum is not the sum"


def plain_numbers(sim: Simulation, alive: list[Host], sums: dict[bytes, SessionTranscript]) -> int:
    """Every opened number is the inner product of the plain update with the direction, bit for bit."""
    stored = {k: blob for h in sim.hosts.values() for k, blob in h.holdings.items()}
    opened = 0
    for judged in alive[0].engine.history:
        t = judged.transcript
        if t.direction == NOTHING:
            continue
        g = np.frombuffer(stored[t.direction], "<i4").astype(np.int64)
        for (peer, _), number in zip(survivors(sim, sums[t.sid]), t.numbers, strict=True):
            if number is not None and peer not in sim.cheats:
                q = sim.plain[t.sid, peer].view(f"i{sim.plain[t.sid, peer].itemsize}")[-g.size :].astype(np.int64)
                assert number == int(q @ g), "an opened number is not < q , g >"
                opened += 1
    return opened


def pool_conserved(sim: Simulation, alive: list[Host]) -> None:
    """Each round's pot goes out whole or not at all, and what is published is what the rounds give."""
    for pay in alive[0].engine.pay:
        assert sum(pay.shares.values()) in {0, pay.pot}
    earned = totals(alive[0].engine.pay)
    assert sum(earned.values()) <= sim.rules.pool
    assert sim.published
    for root, _, published in sim.published:
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
