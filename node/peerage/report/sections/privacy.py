"""What all sums together have given away of each peer."""

from peerage.report.html import Html, el, join, table
from peerage.report.reading import Told


def body(told: Told) -> Html:
    meter = told.summary.privacy if told.summary else None
    if meter is None:
        return el("p", "There is no meter: the exchange was plain and hid nothing, or the summary is missing.",
                  class_="none")  # fmt: skip
    rows = [
        (told.name(address), str(one.sums), _known(one.hidden_among), _known(one.smallest_honest_sum),
         str(one.numbers_opened), f"{one.rank} of {one.peers}",
         "no" if one.solved_in_round is None else f"since round {one.solved_in_round}",
         "no noise" if one.epsilon is None else f"{one.epsilon:.3g} (delta {one.delta})")
        for address, one in meter.by_peer.items()
    ]  # fmt: skip
    head = ("peer", "sums", "hidden among", "honest in the smallest sum", "numbers opened", "independent sums",
            "solved for", "epsilon")  # fmt: skip
    return join([
        el("p", f"Against {meter.against}. “Solved for” holds if a peer's update is the same in every round; "
                "docs/privacy.md says what each column means."),
        table("Per peer", head, rows),
    ])  # fmt: skip


def _known(count: int | None) -> str:
    return "unknown" if count is None else str(count)
