"""Who trains and who sends how many models in one round, by topology. Expectations over a uniform draw of peers.

    fedavg       K active peers fetch the model and send theirs:               2 K models, 2 K messages
    fedadam      the same on the wire: the optimiser's moments stay with the server
    braintorrent one initiator asks N - 1 peers for their versions, fetches    m models, 2 (N - 1) + 2 m messages
                 m <= N - 1 newer models, merges and trains; nobody serves
    gossip       K active peers train and send their model to g others         K g models, K g messages

A model that travels between two peers crosses both access links: one upload and one download are counted. Version
numbers and requests weigh nothing here; masks and transactions are a run's own (`peerage report`).
"""

from __future__ import annotations

from typing import Final

import msgspec

from peerage_crypto.errors import InputError

TOPOLOGIES: Final = ("fedavg", "fedadam", "braintorrent", "gossip")
MOST_DEVICES: Final = 100_000_000


class Traffic(msgspec.Struct, frozen=True, kw_only=True):
    """Of one round, all devices together. Uploads and downloads count models on the devices' own links; `models` counts
    each model that travels once.
    """

    trainers: int
    uploads: int
    downloads: int
    models: int
    messages: int


def traffic(topology: str, devices: int, active: int, neighbours: int | None = None) -> Traffic:
    """`active`: peers of a round; for braintorrent the m peers whose models are fetched."""
    if topology not in TOPOLOGIES:
        raise InputError(f"topology {topology!r} is not known: choose {', '.join(TOPOLOGIES)}")
    _check(topology, devices, active, neighbours)
    if topology == "braintorrent":
        return Traffic(
            trainers=1, uploads=active, downloads=active, models=active, messages=2 * (devices - 1) + 2 * active
        )
    if topology == "gossip":
        sent = active * (neighbours or 0)
        return Traffic(trainers=active, uploads=sent, downloads=sent, models=sent, messages=sent)
    return Traffic(trainers=active, uploads=active, downloads=active, models=2 * active, messages=2 * active)


def _check(topology: str, devices: int, active: int, neighbours: int | None) -> None:
    if not 1 <= devices <= MOST_DEVICES:
        raise InputError(f"{devices} devices cannot be: give a number from 1 to {MOST_DEVICES}")
    most = devices - 1 if topology == "braintorrent" else devices
    if not 1 <= active <= most:
        why = "the initiator fetches from others only" if topology == "braintorrent" else "no more can be active"
        raise InputError(f"--active {active} of {devices} devices cannot be: give 1 to {most}, {why}")
    if topology == "gossip":
        if neighbours is None:
            raise InputError("gossip needs --neighbours: to how many peers each sends its model in a round")
        if not 1 <= neighbours < devices:
            raise InputError(f"--neighbours {neighbours} of {devices} devices cannot be: give 1 to {devices - 1}")
    elif neighbours is not None:
        raise InputError(f"--neighbours is for gossip: {topology} has none")
