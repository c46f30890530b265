"""A content key sealed for one buyer, so that a contract can open it again when the buyer shows its one-time secret.

Diffie-Hellman on secp256k1: the EVM multiplies points of that curve (with `ecrecover`), not of X25519. Public keys
are abscissas of 32 bytes; the ordinate is the even one. The pad is keccak256 over the sale and the address of the
common point (160 bits that only the two ends can compute), as in `contracts/src/libraries/SealedKey.sol`. One-time keys
serve one sale, so a pad is used once.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from coincurve import PrivateKey, PublicKey

from peerage_crypto.agreement import BadKey, seal, unseal
from peerage_crypto.digest import keccak256
from peerage_crypto.identity import ORDER

_EVEN = b"\x02"
_PURPOSE = b"peerage/market/v1"


@dataclass(frozen=True, slots=True)
class OneTimeKey:
    """For one sale, on either side of it; its repr shows the public half."""

    public: bytes
    secret: bytes = field(repr=False)

    @classmethod
    def from_secret(cls, secret: bytes) -> OneTimeKey:
        """From 32 random bytes; ValueError unless they are between 1 and the curve's order."""
        value = int.from_bytes(secret, "big")
        if len(secret) != 32 or not 0 < value < ORDER:
            raise ValueError("a one-time secret is 32 bytes between 1 and the order of secp256k1")
        point = PrivateKey(secret).public_key.format(compressed=True)
        even = value if point[:1] == _EVEN else ORDER - value
        return cls(point[1:], even.to_bytes(32, "big"))


def is_key(public: bytes) -> bool:
    """Whether there is a point with this abscissa below the order: what the contract accepts."""
    return _point(public) is not None


def seal_key(content_key: bytes, sale: bytes, mine: OneTimeKey, buyer_key: bytes) -> bytes:
    """32 bytes for the chain; BadKey when the buyer's key is no point."""
    return _xor(content_key, _pad(sale, mine, buyer_key))


def open_key(sealed_key: bytes, sale: bytes, mine: OneTimeKey, sender_key: bytes) -> bytes:
    """What was sealed, right or wrong: compare its commitment. BadKey when the sender's key is no point."""
    return _xor(sealed_key, _pad(sale, mine, sender_key))


def key_commitment(content_key: bytes) -> bytes:
    """keccak256(abi.encode(key)) of a random key of 32 bytes."""
    return keccak256(content_key)


def encrypt(content_key: bytes, aggregate: bytes, artefact: bytes) -> bytes:
    """AES-256-GCM under a key that encrypts this one artefact: hence a constant nonce."""
    return seal(content_key, bytes(12), artefact, _PURPOSE + aggregate)


def decrypt(content_key: bytes, aggregate: bytes, ciphertext: bytes) -> bytes:
    """The artefact; BadSeal when a bit of key, name or ciphertext differs."""
    return unseal(content_key, bytes(12), ciphertext, _PURPOSE + aggregate)


def _pad(sale: bytes, mine: OneTimeKey, theirs: bytes) -> bytes:
    point = _point(theirs)
    if point is None:
        raise BadKey("no point of secp256k1 has this abscissa")
    common = point.multiply(mine.secret).format(compressed=False)
    return keccak256(sale + keccak256(common[1:])[12:].rjust(32, b"\0"))


def _point(public: bytes) -> PublicKey | None:
    if len(public) != 32 or not 0 < int.from_bytes(public, "big") < ORDER:
        return None
    try:
        return PublicKey(_EVEN + public)
    except ValueError:
        return None


def _xor(a: bytes, b: bytes) -> bytes:
    if len(a) != len(b):
        raise ValueError(f"a key has {len(b)} bytes, not {len(a)}")
    return bytes(x ^ y for x, y in zip(a, b, strict=True))
