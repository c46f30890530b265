"""Settings that are right one by one: groups, robust rules and noise together; and what a devnet's supervisor kept."""

from __future__ import annotations

import msgspec

from fuzz.draw import Draw
from fuzz.settings import placed
from fuzz.target import target
from peerage import config, config_toml
from peerage.config_checks import check_federation
from peerage.privacy.noise import noise_of
from peerage.regions import grouping_of, with_addresses
from peerage_crypto.errors import InputError
from peerage_ledger.devnets.tx_journal import TransactionJournal

RULES = ("mean", "median", "trimmed-mean", "krum", "multi-krum", "geometric-median", "local-reference")
NOISES = (0.0, 0.5, 1.0, 1e-300, 5e-324, 1000.0)
DELTAS = (1e-5, 5e-324, 0.999999)
CLIPS = (8.0, 0.5, 5e-324, 1e6, 1e-9)


def grouped(draw: Draw) -> dict[str, object]:
    """A federation.toml as a table; each value is one that its field may have, or nearly."""
    peers = draw.pick((8, 12, 15, 24, 33, 100, 1, 2, 3, 1000))
    names = [f"peer-{i:02}" for i in range(1, min(peers, 200) + 1)]
    size = 1 + draw.below(16)
    parts = [names[at : at + size] for at in range(0, len(names), size)] if draw.below(2) else []
    regions = [
        {"name": f"r{i}", "peers": part, "leader": part[0] if draw.below(2) else ""} for i, part in enumerate(parts)
    ]
    if regions and not draw.below(4):
        regions[draw.below(len(regions))]["leader"] = draw.pick(("nobody", "0x" + "ab" * 20, names[-1]))
    return {
        "peers": peers,
        "exchange": draw.pick(("masked", "plain")),
        "regions": regions,
        "robust": {
            "rule": draw.pick(RULES),
            "buckets": draw.pick((1, 2, 3, 5, 20, 10**9)),
            "byzantine": draw.pick((0, 1, 2, 7, 10**9)),
            "sketches": draw.pick((0, 1, 16, 64)),
            "length_bound": draw.pick((3.0, 1.0000001, 1000.0)),
        },
        "privacy": {
            "noise": draw.pick(NOISES),
            "delta": draw.pick(DELTAS),
            "least_roster_change": draw.pick((1, 3, 10**12)),
        },
        "masking": {
            "ring_bits": draw.pick((32, 16, 64)),
            "frac_bits": draw.pick((16, 1, 6, 12, 40)),
            "clip": draw.pick(CLIPS),
            "clip_each": draw.pick((0.0, *CLIPS)),
        },
        "scores": {"openings": draw.pick(("off", "round"))},
    }


@target(
    "settings.federation-grouped",
    allowed=(InputError,),
    seeds=lambda: [bytes([n % 10, 5, 1, n % 3, 0, 1, n % 2, *[n * k % 251 for k in range(40)]]) for n in range(20)],
    memory=64 << 20,  # tables of the noise
)
def federation(data: bytes) -> None:
    """Refused with a sentence, or everything that a run derives from it can be derived."""
    draw = Draw(data)
    found = config_toml.federation_of(grouped(draw), where="it")
    assert config_toml.parse_federation(config_toml.to_toml(found), where="again") == found
    check_federation(found)
    addresses = {name: bytes([1 + i // 256, i % 256]) * 10 for i, name in enumerate(found.peer_names())}
    grouping = grouping_of(with_addresses(found, addresses))
    assert not found.regions or sorted(p for r in grouping.regions for p in r) == sorted(addresses.values())
    noise = noise_of(found, draw.pick((1, 24, 5000, 10**7)))
    if noise is not None:
        bits, each = found.masking.ring_bits, found.masking.clip_each or found.masking.clip
        most = min(each, found.masking.clip) * 2**found.masking.frac_bits + 1 + noise.bound
        assert found.peers * most < 2 ** (bits - 1)
        assert noise.honest >= 1
        assert noise.variance * noise.honest >= (found.privacy.noise * noise.sensitivity) ** 2 * (1 - 1e-12)


KEPT = msgspec.json.encode({"schema": 1, "block": 3, "raw": "02f8"}) + b"\n"


@target("own.devnet-journal", allowed=(InputError,), seeds=lambda: [KEPT * 2, KEPT + KEPT[:9]])
def devnet_journal(data: bytes) -> None:
    path = placed("supervised.jsonl", data)
    journal = TransactionJournal(path)
    journal.close()
    again = TransactionJournal(path)
    again.close()
    assert len(again) == len(journal)


assert set(RULES) == set(config.RobustRule.__args__)
