"""Settings that are right one by one and wrong together: refused before anything is sent, with what works instead."""

from peerage.config import DataSettings, Exchange, Federation, LedgerSettings
from peerage.modelling import check_modelling
from peerage.optimising import check_optimising
from peerage.privacy.noise import check_privacy, smallest_honest_sum
from peerage.regions import check_regions
from peerage.robust.floors import check_robust
from peerage_crypto.errors import InputError
from peerage_crypto.thresholds import MIN_MASKED_PEERS, colluders, smallest_roster, thresholds

FEW_PEERS = 4  # three and four are allowed with a visible warning


def check_federation(federation: Federation) -> tuple[str, ...]:
    """Refuse what cannot keep its promise, and return the warnings that the user must see.

    Ranges of single fields are the types' business; this looks at fields together.
    """
    from peerage.plain.topology import check_topology  # noqa: PLC0415 - brings numpy, as the next
    from peerage.rounds.grid import check_masking  # noqa: PLC0415 - brings numpy, which reading a setting does not need
    from peerage.schedule import check_schedule  # noqa: PLC0415 - the commands that need no setting stay quick
    from peerage.sketching import check_sketching  # noqa: PLC0415 - the same
    from peerage.validation import check_validation  # noqa: PLC0415 - the same

    warnings = list(_check_peers(federation.peers, federation.exchange))
    _check_source(federation.data)
    _check_ledger(federation.ledger)
    _check_bonus(federation)
    if federation.masking.frac_bits >= federation.masking.ring_bits:
        raise InputError(
            f"masking.frac_bits = {federation.masking.frac_bits} leaves nothing of a ring of "
            f"{federation.masking.ring_bits} bits: choose at most {federation.masking.ring_bits // 2}"
        )
    if federation.data.validation_donor and federation.data.validation_donor not in federation.peer_names():
        raise InputError(
            f"data.validation_donor = {federation.data.validation_donor!r} is no peer of this federation: "
            f"the peers are {_span(federation)}"
        )
    _check_cast(federation)
    _check_open_at(federation)
    check_masking(federation)
    check_topology(federation)
    check_optimising(federation)
    warnings += check_modelling(federation)
    check_regions(federation)
    check_schedule(federation)
    check_robust(federation)
    check_privacy(federation)
    check_sketching(federation)
    return (*warnings, *_few_in_a_bucket(federation), *check_validation(federation))


def _check_bonus(federation: Federation) -> None:
    """A green bonus is a part of pay: where nobody is paid by score there is nothing that it could be a part of."""
    rewards = federation.rewards
    if rewards.green_bonus and not int(rewards.green_pool):
        raise InputError(
            f"rewards.green_bonus = {rewards.green_bonus} without a pool: set rewards.green_pool to what its funder "
            "promises, in the smallest unit and in quotes"
        )
    if int(rewards.green_pool) and not rewards.green_bonus:
        raise InputError(
            "rewards.green_pool without rewards.green_bonus is never paid: set the bonus to basis points of pay, such "
            "as 500 for at most a twentieth"
        )
    if rewards.green_bonus and (federation.exchange == "plain" or federation.scores.openings == "off"):
        raise InputError(
            "rewards.green_bonus is a part of pay, and here nobody is paid: "
            'choose exchange = "masked" and scores.openings = "round", or set it to 0'
        )


def _check_peers(peers: int, exchange: Exchange) -> tuple[str, ...]:
    if peers == 1:
        raise InputError('peers = 1 is no federation: choose at least 2 with exchange = "plain", or 3 with masks')
    if exchange == "plain":
        return ("plain exchange: an initiator sees the updates it pulls; for peers that trust each other",)
    if peers == 2:
        raise InputError('peers = 2 cannot hide in a sum of two: choose exchange = "plain", or at least 3 peers')
    limits = thresholds(peers, peers)
    if peers > FEW_PEERS:
        return ()
    lost = "no peer may" if limits.losses == 0 else f"at most {limits.losses} may"
    smallest = limits.smallest_honest_sum
    return (f"{peers} peers are few: a round reveals sums of {smallest} honest peers at least, {lost} vanish in it",)


def _few_in_a_bucket(federation: Federation) -> tuple[str, ...]:
    regions = tuple(len(region.peers) for region in federation.regions)
    if federation.exchange == "plain" or (federation.robust.buckets == 1 and not regions):
        return ()
    honest = max(0, smallest_honest_sum(federation.peers, federation.robust.buckets, regions))
    c = colluders(federation.peers)
    worst = f"if all {c} colluding peers came into one, it would be a sum of {honest} honest peers"
    return (f"sums are revealed bucket by bucket: {worst}",)


def _check_open_at(federation: Federation) -> None:
    """A round that opens early must still be a legal one, and nothing else may need the peers that it leaves out."""
    from peerage_crypto.crossfit import possible  # noqa: PLC0415 - brings numpy, as above

    at, peers = federation.timing.open_at, federation.peers
    if not at:
        return
    least = max(MIN_MASKED_PEERS, smallest_roster(peers))
    if not least <= at <= peers:
        raise InputError(
            f"timing.open_at = {at}: a masked round of {peers} peers takes {least} to {peers}, or choose 0"
        )
    cases = (
        (federation.exchange == "plain", "plain exchange has no roster to wait for"),
        (federation.schedule.policy == "wait-for-all", "the schedule waits for all"),
        (federation.privacy.least_roster_change > 1, "privacy.least_roster_change wants rosters that differ seldom"),
        (federation.privacy.noise > 0, "with privacy.noise a small roster carries too little of it"),
        (
            federation.data.validation == "private" and not possible(at),
            f"private validation scores no round of {at} peers",
        ),
    )
    why = next((sentence for there, sentence in cases if there), "")
    if why:
        raise InputError(f"timing.open_at = {at}: {why}: choose open_at = 0")


def _check_source(data: DataSettings) -> None:
    from peerage.learning.partitions import parse  # noqa: PLC0415 - brings numpy, which reading a setting does not need

    kind, colon, rest = data.source.partition(":")
    if kind not in {"digits", "mnist"} and not (colon and rest):
        raise InputError(
            f"data.source = {data.source!r} is not known: use digits, mnist, csv:PATH, npz:PATH, "
            "folder:PATH or module:factory"
        )
    if kind == "csv" and not data.label:
        raise InputError(f"data.source = {data.source!r} needs data.label (--label): the column to predict")
    if kind == "mnist" and not data.data_dir:
        raise InputError('data.source = "mnist" needs data.data_dir (--data-dir): the folder with the IDX files')
    parse(data.partition)


def _check_ledger(ledger: LedgerSettings) -> None:
    if ledger.engine in {"auto", "anvil", "ganache", "embedded"} or ledger.engine.startswith(("http://", "https://")):
        return
    raise InputError(
        f"ledger.engine = {ledger.engine!r} is not known: "
        "use auto, anvil, ganache, embedded or the http(s) URL of a node"
    )


def _check_cast(federation: Federation) -> None:
    names = federation.peer_names()
    seen: set[str] = set()
    for part in federation.cast:
        if part.peer not in names:
            raise InputError(f"cast: {part.peer!r} is no peer of this federation: the peers are {_span(federation)}")
        if part.peer in seen:
            raise InputError(f"cast: {part.peer} is listed twice: put its settings into one entry")
        seen.add(part.peer)
        if part.kill_in_round > federation.rounds:
            raise InputError(f"cast: {part.peer} is to be killed in round {part.kill_in_round} of {federation.rounds}")
        if part.return_in_round and not 0 < part.kill_in_round < part.return_in_round <= federation.rounds:
            raise InputError(
                f"cast: {part.peer} cannot return in round {part.return_in_round}: it must be after its kill_in_round "
                f"({part.kill_in_round}) and within {federation.rounds} rounds"
            )
        if part.freeze_in_round > federation.rounds:
            raise InputError(
                f"cast: {part.peer} is to be frozen in round {part.freeze_in_round} of {federation.rounds}"
            )
        if part.freeze_in_round and part.kill_in_round:
            raise InputError(f"cast: {part.peer} can be killed or frozen, not both: give one of them to another peer")


def _span(federation: Federation) -> str:
    names = federation.peer_names()
    return f"{names[0]} to {names[-1]}"
