"""Whose vectors are summed together, from the settings: drawn buckets, or regions with their peers."""

from __future__ import annotations

from typing import TYPE_CHECKING

from msgspec.structs import replace

from peerage.robust.floors import least_vectors
from peerage_crypto.buckets import FLAT, SMALLEST_BUCKET, Grouping
from peerage_crypto.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from peerage.config import Federation


def check_regions(federation: Federation) -> None:
    """InputError unless the regions' peers are peers, each in one region, and each region can be summed on its own."""
    if federation.regions and federation.exchange == "plain":
        raise InputError(
            'regions in plain exchange: nothing is summed there: choose exchange = "masked", or no regions'
        )
    seen: set[str] = set()
    for region in federation.regions:
        for peer in region.peers:
            if peer in seen:
                raise InputError(f"regions: {peer} is listed twice: a peer belongs to one region")
            if not is_address(peer) and peer not in federation.peer_names():
                raise InputError(f"regions: {peer!r} of {region.name} is neither a peer's name nor its 0x address")
            seen.add(peer)
        if region.leader and region.leader not in region.peers:
            raise InputError(f"regions: {region.leader} leads {region.name} and is not of it: name one of its peers")
        if len(region.peers) < SMALLEST_BUCKET:
            raise InputError(
                f"regions: {region.name} has {len(region.peers)} peers: a sum of fewer than {SMALLEST_BUCKET} hides "
                "too little, so give it more or put it together with another region"
            )
    if len(federation.regions) == 1:
        raise InputError("regions: one region is no division: name at least two, or none")
    missing = federation.peers - len(seen)
    if federation.regions and missing:
        raise InputError(f"regions: {missing} of {federation.peers} peers are in no region: each belongs to one")


def is_address(text: str) -> bool:
    return len(text) == 42 and text.startswith("0x") and all(c in "0123456789abcdefABCDEF" for c in text[2:])


def with_addresses(federation: Federation, addresses: Mapping[str, bytes]) -> Federation:
    """The regions and energy profiles by address: names mean something on one machine only."""

    def named(peer: str) -> str:
        return f"0x{addresses[peer].hex()}" if peer in addresses else peer.lower()

    regions = tuple(
        replace(r, peers=tuple(named(p) for p in r.peers), leader=named(r.leader) if r.leader else "")
        for r in federation.regions
    )
    energy = tuple(replace(e, peer=named(e.peer)) for e in federation.energy)
    return replace(federation, regions=regions, energy=energy)


def grouping_of(federation: Federation) -> Grouping:
    """What the sessions are told; InputError for a region that still lists a name."""
    if federation.exchange == "plain":
        return FLAT
    robust = federation.robust
    listed = (p for r in federation.regions for p in (*r.peers, *([r.leader] if r.leader else [])))
    unknown = next((p for p in listed if not is_address(p)), "")
    if unknown:
        raise InputError(f"regions: {unknown} is a name: on separate machines list each peer's 0x address")
    return Grouping(
        buckets=robust.buckets,
        regions=tuple(frozenset(bytes.fromhex(p[2:]) for p in r.peers) for r in federation.regions),
        least=least_vectors(robust.rule, robust.byzantine),
        leaders=frozenset(bytes.fromhex(r.leader[2:]) for r in federation.regions if r.leader),
    )
