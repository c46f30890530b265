"""The federated side of the calculator: groups of alike devices, and what they use and emit.

    E_train = sum over rounds and active devices of  local epochs x seconds per epoch x watts
    E_comm  = sum over the models that each sends and receives of what moving one costs   (`links`, `topology`)
    CO2e    = sum over groups of  c_group (E_train + E_comm)         no PUE at devices that stand at people's

Structure: Qiu et al. 2010.06537 and 2102.07627. Who is active is a uniform draw, so a group has its expected share.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import msgspec

from peerage.emissions.factors import Factor
from peerage.emissions.labels import Label, worst
from peerage.estimate.amounts import UJ_PER_J, Amount, emitted, parametric, total, within
from peerage.estimate.devices import Device
from peerage.estimate.links import LARGEST_MODEL, Moved, Network
from peerage.estimate.topology import Traffic, traffic
from peerage_crypto.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Callable

MOST_ROUNDS: Final = 10_000_000
MOST_EPOCHS: Final = 100_000
LONGEST_EPOCH: Final = 1e7  # seconds


class Group(msgspec.Struct, frozen=True, kw_only=True):
    """Devices of one kind in one country; `seconds` is one local epoch on one of them."""

    count: int
    device: Device
    factor: Factor
    seconds: float


class Plan(msgspec.Struct, frozen=True, kw_only=True):
    topology: str
    rounds: int
    epochs: int
    active: int
    model_bytes: int
    groups: tuple[Group, ...]
    neighbours: int | None = None

    @property
    def devices(self) -> int:
        return sum(group.count for group in self.groups)

    @property
    def local_epochs(self) -> int:
        """Of all devices in all rounds."""
        return self.traffic.trainers * self.epochs * self.rounds

    @property
    def traffic(self) -> Traffic:
        return traffic(self.topology, self.devices, self.active, self.neighbours)

    def __post_init__(self) -> None:
        if not self.groups:
            raise InputError("a federation needs devices: say --device, --country and --seconds-per-epoch")
        for group in self.groups:
            if group.count < 1:
                raise InputError(f"{group.count} devices of {group.device.name} cannot be: give 1 or more")
            within("--seconds-per-epoch", group.seconds, 0, LONGEST_EPOCH, "seconds")
        for name, value, most in (("--rounds", self.rounds, MOST_ROUNDS), ("--epochs", self.epochs, MOST_EPOCHS)):
            if not 1 <= value <= most:
                raise InputError(f"{name} {value} cannot be: give a number from 1 to {most}")
        if not 0 <= self.model_bytes <= LARGEST_MODEL:
            raise InputError(f"a model of {self.model_bytes} bytes cannot be: give 0 to {LARGEST_MODEL}")
        _ = self.traffic  # refuses what the topology cannot have


class Part(msgspec.Struct, frozen=True, kw_only=True):
    """One group's share."""

    group: Group
    train: Amount
    communication: Amount

    @property
    def whole(self) -> Amount:
        return self.train + self.communication


class Estimate(msgspec.Struct, frozen=True, kw_only=True):
    plan: Plan
    network: str
    network_source: str
    parts: tuple[Part, ...]
    train: Amount
    communication: Amount
    whole: Amount
    messages: int  # of all rounds
    bytes_moved: int  # each model once
    label: Label

    @property
    def communication_share(self) -> float | None:
        return self.communication.energy_uj.mid / self.whole.energy_uj.mid if self.whole.energy_uj.mid else None

    def by(self, key: Callable[[Group], str]) -> dict[str, Amount]:
        """Sums over groups of one name: devices, or countries."""
        found: dict[str, Amount] = {}
        for part in self.parts:
            name = key(part.group)
            found[name] = found.get(name, Amount()) + part.whole
        return found


def estimate(plan: Plan, network: Network) -> Estimate:
    """Parts add up to the whole exactly: the whole is their sum."""
    parts = tuple(_part(plan, group, network) for group in plan.groups)
    train, communication = total(x.train for x in parts), total(x.communication for x in parts)
    traffic = plan.traffic
    return Estimate(
        plan=plan,
        network=network.name,
        network_source=network.source,
        parts=parts,
        train=train,
        communication=communication,
        whole=train + communication,
        messages=traffic.messages * plan.rounds,
        bytes_moved=traffic.models * plan.rounds * plan.model_bytes,
        label=worst((Label.PARAMETRIC, network.label, *(group.factor.label for group in plan.groups))),
    )


def _part(plan: Plan, group: Group, network: Network) -> Part:
    share = group.count / plan.devices * plan.rounds
    traffic = plan.traffic
    train = traffic.trainers * share * plan.epochs * group.seconds * group.device.watts * UJ_PER_J
    moved = Moved(traffic.uploads * share, traffic.downloads * share, traffic.models * share)
    return Part(
        group=group,
        train=emitted(parametric(train), group.factor),
        communication=emitted(network.energy(moved, plan.model_bytes, group.device), group.factor),
    )
