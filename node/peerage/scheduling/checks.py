"""Whether a claimed scale follows from a peer's history: what an auditor asks, with nothing but public values."""

from __future__ import annotations

from typing import TYPE_CHECKING

from peerage.scheduling.policies import decide

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable
    from fractions import Fraction

    from peerage.scheduling.policies import Policy
    from peerage.scheduling.profiles import Profile


def check_scale(
    policy: Policy, profile: Profile, round_: int, seed: int, history: Collection[int], claimed: Fraction
) -> str | None:
    """Why this peer may not claim this scale in this round, in one sentence; None where it may."""
    due = decide(policy, profile, round_, seed, history)
    if not due.participate:
        return f"{profile.peer} took part in round {round_}, and its schedule and its energy gave it no turn there"
    if claimed != due.scale:
        return f"{profile.peer} claims the scale {claimed} in round {round_}, and its history gives {due.scale}"
    return None


def check_history(
    policy: Policy, profile: Profile, seed: int, claims: Iterable[tuple[int, Fraction]]
) -> tuple[str, ...]:
    """`check_scale` along a whole run: `claims` are (round, scale) of each round in which the peer took part."""
    faults, history = list[str](), list[int]()
    for round_, claimed in sorted(claims):
        if round_ in history:
            faults.append(f"{profile.peer} claims round {round_} twice")
            continue
        fault = check_scale(policy, profile, round_, seed, history, claimed)
        if fault:
            faults.append(fault)
        history.append(round_)
    return tuple(faults)
