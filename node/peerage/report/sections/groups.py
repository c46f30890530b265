"""Regions, sorts of energy or countries side by side: whom the model serves worse, and who takes part less."""

from peerage.launch.groups import Group
from peerage.report.amounts import percent
from peerage.report.html import Html, el, join, table
from peerage.report.reading import Told


def body(told: Told) -> Html:
    groups = told.summary.groups if told.summary else None
    if groups is None:
        why = "Nothing divides the peers: the settings name no regions and no energy, and all declare one country."
        return el("p", why, class_="none")
    lagging = [el("p", f"Lagging: {sentence}.") for sentence in groups.lagging]
    if not lagging:
        lagging = [el("p", "No group lags beyond what so few rows give by chance.")]
    note = (
        "The final model on rows that each peer held back from its own and never trained on: its own kind of data. "
        "The accuracy above is on one test split for all, which does not show who was left out."
    )
    heads = (groups.by, "peers", "turns taken", "part of all weight", "held-out rows", "right", "mean of peers",
             "worst peer")  # fmt: skip
    return join([*lagging, el("p", note), table("Groups of peers", heads, [_row(g) for g in groups.groups])])


def _row(group: Group) -> tuple[str, ...]:
    taken = "unknown" if group.taken is None else f"{group.taken} of {group.turns}"
    right = percent(group.right / group.rows) if group.rows else "unknown"
    return (
        group.name,
        str(len(group.peers)),
        taken,
        percent(group.weight),
        str(group.rows),
        right,
        percent(group.mean),
        percent(group.worst),
    )
