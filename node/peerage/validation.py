"""Private validation from the settings: which federations can keep its promise. Refused before anything is sent."""

from __future__ import annotations

from typing import TYPE_CHECKING

from peerage_crypto.crossfit import RING, least_half, possible
from peerage_crypto.errors import InputError
from peerage_crypto.thresholds import COMPLETE_GRAPH_LIMIT, colluders

if TYPE_CHECKING:
    from peerage.config import Federation

MOST_BYTES = 16 << 20  # of all masked path gradients of a round: so much each peer fetches, and keeps


def is_private(federation: Federation) -> bool:
    """Whether scores are measured on rows that each peer holds back."""
    return federation.data.validation == "private"


def check_validation(federation: Federation) -> tuple[str, ...]:
    """InputError unless private validation can work under these settings; else the warnings that the user must see."""
    if not is_private(federation):
        return ()
    data = federation.data
    if federation.exchange == "plain":
        raise InputError(
            'data.validation = "private" needs masks: choose exchange = "masked", or validation = "shared"'
        )
    if data.validation_file or data.validation_donor:
        raise InputError(
            'data.validation = "private" takes no public rows: leave validation_file and validation_donor empty, '
            'or choose validation = "shared"'
        )
    if federation.scores.openings == "off":  # with noise they are off: no sum of path gradients is ever beside noise
        raise InputError(
            'data.validation = "private" with scores.openings = "off" would hold rows back for nothing: '
            'choose validation = "shared", or openings = "round"'
        )
    if federation.regions or federation.robust.buckets > 1:
        raise InputError(
            'data.validation = "private" needs masks between all peers: leave out regions and robust.buckets, '
            'or choose validation = "shared"'
        )
    check_peers(federation.peers)
    return _tight(federation.peers)


def check_peers(peers: int) -> None:
    """InputError, naming the nearest number that works, where no round could ever be scored."""
    if possible(peers):
        return
    nearest = min((n for n in range(COMPLETE_GRAPH_LIMIT + 1) if possible(n)), key=lambda n: abs(n - peers))
    why = (
        "masks on a sparse graph do not hold a half together"
        if peers > COMPLETE_GRAPH_LIMIT
        else f"each half needs {least_half(colluders(peers))}"
    )
    raise InputError(
        f'data.validation = "private" cannot work among {peers} peers, {why}: '
        f'the nearest that can is peers = {nearest}; else choose validation = "shared"'
    )


def check_vectors(peers: int, parameters: int) -> None:
    """InputError where each peer would fetch more than MOST_BYTES of path gradients a round."""
    wanted = peers * parameters * RING.word_bytes
    if wanted > MOST_BYTES:
        raise InputError(
            f"private validation would move {wanted} bytes of path gradients to each of {peers} peers a round, above "
            f"the limit of {MOST_BYTES}: choose a model of at most {MOST_BYTES // (peers * RING.word_bytes)} "
            'parameters, or validation = "shared"'
        )


def _tight(peers: int) -> tuple[str, ...]:
    """How many losses leave a round unscored."""
    least = least_half(colluders(peers))
    spare = peers // 2 - least
    lost = "any peer that is lost in it" if spare == 0 else f"more than {spare} lost peers of one half"
    honest = peers // 2 - colluders(peers)
    who = f"the sums of path gradients are over halves, of {honest} honest peers if all who collude are in one"
    what = f"a round with {lost} is not scored, and neither is one in which a survivor delivers no gradient"
    return (f"private validation: {who}; {what}",)
