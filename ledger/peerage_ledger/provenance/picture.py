"""The graph of models as one SVG: no script, no font or file from elsewhere, so that a report can carry it.

Rounds run downwards, in columns once there are many; records of one round stand beside each other in lanes. The paid
line is the filled one in the first lane, a voided record is struck through, one whose artefacts prove nothing is drawn
with a dashed line. Hovering a record shows what went into it.
"""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from html import escape
from typing import TYPE_CHECKING, Final

from peerage_ledger.provenance.model import Exchange, ModelNode
from peerage_ledger.provenance.queries import spans

if TYPE_CHECKING:
    from collections.abc import Mapping

    from peerage_ledger.provenance.build import Provenance

ROWS: Final = 40  # rounds in one column
ROW, LANE, RADIUS, LABEL = 26, 22, 6.5, 226  # pixels
LEFT, TOP, BOTTOM, GAP = 26, 74, 22, 34
MOST_LANES: Final = 24  # more records beside each other share the last lane: the words count them

_STYLE: Final = """
.peerage-dag{font:12px ui-sans-serif,system-ui,sans-serif;color-scheme:light dark;
--ink:#1f2328;--soft:#6e7781;--line:#b6bec7;--paid:#0b62c4;--bad:#c0262d;--paper:#ffffff}
@media(prefers-color-scheme:dark){.peerage-dag{--ink:#e6edf3;--soft:#9aa4af;--line:#4b545e;--paid:#6cb2ff;
--bad:#ff7b72;--paper:#0f141a}}
.peerage-dag .paper{fill:var(--paper)}
.peerage-dag text{fill:var(--ink)}
.peerage-dag .soft{fill:var(--soft)}
.peerage-dag .head{font-size:15px;font-weight:600}
.peerage-dag .edge{fill:none;stroke:var(--line);stroke-width:1.3}
.peerage-dag .edge.paid{stroke:var(--paid);stroke-width:3.2}
.peerage-dag circle{fill:var(--paper);stroke:var(--soft);stroke-width:1.8}
.peerage-dag .paid circle{fill:var(--paid);stroke:var(--paid)}
.peerage-dag .genesis circle{fill:var(--ink);stroke:var(--ink)}
.peerage-dag .unproven circle{stroke-dasharray:2.5 2}
.peerage-dag .voided circle{stroke:var(--bad);fill:var(--paper)}
.peerage-dag .strike{stroke:var(--bad);stroke-width:2.4}
.peerage-dag .voided text{text-decoration:line-through;fill:var(--bad)}
"""


@dataclass(frozen=True, slots=True)
class _Spot:
    x: float
    y: float
    column: int
    left: float  # of its column


def svg_of(told: Provenance, title: str = "Models and what they stand on") -> str:
    """The whole picture; the same graph is the same bytes."""
    lanes = _lanes(told)
    width_of_lanes = LANE * (1 + max(lanes.values(), default=0))
    rounds = sorted({n.round for n in told.graph.nodes.values()})
    row_of = {round_: row for row, round_ in enumerate(rounds)}
    columns = max(1, -(-len(rounds) // ROWS))
    rows = -(-len(rounds) // columns)  # as long as each other
    column_width = width_of_lanes + LABEL + GAP
    spots = {
        n.record: _Spot(
            LEFT + row_of[n.round] // rows * column_width + lanes[n.record] * LANE,
            TOP + row_of[n.round] % rows * ROW + ROW / 2,
            row_of[n.round] // rows,
            LEFT + row_of[n.round] // rows * column_width,
        )
        for n in told.graph.nodes.values()
    }
    width = max(LEFT + columns * column_width, 760)
    height = TOP + rows * ROW + BOTTOM
    parts = [
        (
            f'<svg xmlns="http://www.w3.org/2000/svg" class="peerage-dag" role="img" viewBox="0 0 {width} {height}" '
            f'width="{width}" height="{height}">'
        ),
        f"<title>{escape(title)}</title>",
        f"<style>{_STYLE}</style>",
        f'<rect class="paper" width="{width}" height="{height}"/>',
        f'<text class="head" x="{LEFT - 8}" y="26">{escape(title)}</text>',
        *_legend(told),
        *_edges(told, spots),
        *(_node(told, node, spots[node.record]) for node in told.graph.nodes.values()),
        *_labels(told, spots, width_of_lanes),
        "</svg>",
    ]
    return "\n".join(parts) + "\n"


def _lanes(told: Provenance) -> Mapping[bytes, int]:
    """The paid line keeps the first lane; in plain exchange each peer has its own, in the order of addresses."""
    nodes = list(told.graph.nodes.values())
    merging = sorted({n.initiator for n in nodes if n.exchange is Exchange.PLAIN and n.initiator})
    own = {peer: lane for lane, peer in enumerate(merging)}
    found: dict[bytes, int] = {}
    taken: dict[int, set[int]] = {}
    for node in sorted(nodes, key=lambda n: (n.round, not n.paid, n.record)):
        used = taken.setdefault(node.round, set())
        inherited = [found[p] for p in node.parents if p in found]
        wanted = own.get(node.initiator or b"", 0 if node.paid or not inherited else min(inherited))
        lane = next(i for i in range(wanted, wanted + len(used) + 1) if i not in used)
        found[node.record] = min(lane, MOST_LANES)
        used.add(found[node.record])
    return found


def _legend(told: Provenance) -> list[str]:
    nodes = told.graph.nodes.values()
    shown = [("genesis", "first model", any(n.is_genesis for n in nodes)),
             ("paid", "on the paid line", any(n.paid for n in nodes)),
             ("", "recorded, not paid for", any(not n.paid and not n.is_genesis for n in nodes)),
             ("voided", "voided", any(n.voided for n in nodes)),
             ("unproven", "its artefacts do not prove it", any(n.unproven for n in nodes))]  # fmt: skip
    parts, x = list[str](), float(LEFT)
    for kind, words, there in shown:
        if there:
            strike = _strike(x, 48) if kind == "voided" else ""
            parts.append(
                f'<g class="{kind}"><circle cx="{x:g}" cy="48" r="{RADIUS}"/>{strike}'
                f'<text x="{x + 13:g}" y="52">{words}</text></g>'
            )
            x += 42 + 6.6 * len(words)
    return parts


def _edges(told: Provenance, spots: Mapping[bytes, _Spot]) -> list[str]:
    """Thin ones first, so that the paid line lies on top."""
    thin, thick = list[str](), list[str]()
    for node in told.graph.nodes.values():
        for parent in dict.fromkeys(node.parents):
            if parent not in spots:
                continue
            above = told.graph[parent]
            paid = node.paid and (above.paid or above.is_genesis)
            path = _path(spots[parent], spots[node.record])
            (thick if paid else thin).append(f'<path class="edge{" paid" if paid else ""}" d="{path}"/>')
    return thin + thick


def _path(a: _Spot, b: _Spot) -> str:
    if a.column == b.column:
        middle = (a.y + b.y) / 2
        return f"M{a.x:g} {a.y:g}C{a.x:g} {middle:g} {b.x:g} {middle:g} {b.x:g} {b.y:g}"
    # over into the next column: out at the foot, up between the columns, in at the head
    gutter = b.left - GAP / 2 - RADIUS
    down = f"M{a.x:g} {a.y:g}v{ROW / 2:g}H{gutter - 6:g}q6 0 6 -6"
    return f"{down}V{b.y - ROW / 2 + 6:g}q0 -6 6 -6H{b.x - 6:g}q6 0 6 6V{b.y:g}"


def _node(told: Provenance, node: ModelNode, at: _Spot) -> str:
    strike = _strike(at.x, at.y) if node.voided else ""
    return (
        f'<g class="{_kind(node)}"><title>{escape(_hover(told, node))}</title>'
        f'<circle cx="{at.x:g}" cy="{at.y:g}" r="{RADIUS}"/>{strike}</g>'
    )


def _strike(x: float, y: float) -> str:
    return f'<path class="strike" d="M{x - 9:g} {y + 5:g}L{x + 9:g} {y - 5:g}"/>'


def _kind(node: ModelNode) -> str:
    flags = (("genesis", node.is_genesis), ("paid", node.paid and not node.voided),
             ("voided", node.voided), ("unproven", bool(node.unproven)))  # fmt: skip
    return " ".join(["node", *(name for name, on in flags if on)])


def _labels(told: Provenance, spots: Mapping[bytes, _Spot], width_of_lanes: float) -> list[str]:
    """One line of words for each round, to the right of its records."""
    rounds: dict[int, list[ModelNode]] = {}
    for node in told.graph.nodes.values():
        rounds.setdefault(node.round, []).append(node)
    parts: list[str] = []
    for nodes in rounds.values():
        at = spots[nodes[0].record]
        x = at.left + width_of_lanes - LANE + 16
        parts.append(f'<g class="{"voided" if all(n.voided for n in nodes) else ""}">{_words(nodes, x, at.y + 4)}</g>')
    return parts


def _words(nodes: list[ModelNode], x: float, y: float) -> str:
    if nodes[0].is_genesis:
        return f'<text x="{x:g}" y="{y:g}">first model</text>'
    main = next((n for n in nodes if n.paid), nodes[0])
    head = f"round {main.round}"
    if len(nodes) == 1 or main.paid:
        beside = f" +{len(nodes) - 1}" if len(nodes) > 1 else ""
        rest = f"{main.members} peers · {main.record.hex()[:8]}{beside}"
    else:
        rest = f"{len(nodes)} records"
    return f'<text x="{x:g}" y="{y:g}">{head} <tspan class="soft" dx="4">{rest}</tspan></text>'


def _hover(told: Provenance, node: ModelNode) -> str:
    if node.is_genesis:
        return f"first model\nfederation {node.record.hex()}"
    lines = [f"round {node.round}: {'voided' if node.voided else 'on the paid line' if node.paid else 'not paid for'}"]
    lines += [f"record {node.record.hex()}", f"model {node.aggregate.hex()}"]
    if node.unproven:
        lines.append(node.unproven)
    if node.initiator is not None:
        lines.append(f"brought together by {_name(told, node.initiator)}")
    members: dict[int, list[str]] = {}
    for contribution in node.contributions:
        members.setdefault(contribution.version, []).append(_name(told, contribution.peer))
    lines += [f"version {version}: {', '.join(sorted(peers))}" for version, peers in sorted(members.items())]
    if node.place is not None:
        when = dt.datetime.fromtimestamp(node.place.timestamp, dt.UTC)
        lines.append(f"block {node.place.block}, {when:%Y-%m-%d %H:%M:%S} UTC")
    parents = [told.graph[p].round for p in node.parents if p in told.graph]
    if len(node.parents) > 1:
        lines.append(f"stands on {len(node.parents)} records of rounds {spans(sorted(set(parents)))}")
    return "\n".join(lines)


def _name(told: Provenance, peer: bytes) -> str:
    return told.names.get(peer) or f"0x{peer.hex()[:8]}…"
