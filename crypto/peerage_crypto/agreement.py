"""Two peers alone: X25519 to agree on a secret, HKDF to make keys of it, AES-256-GCM to seal a packet.

Every key made here serves one purpose in one session: the caller puts the session into `salt` and the purpose into
`info`, so a nonce may be constant where a key seals one packet only.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

FIELD = (1 << 255) - 19  # of Curve25519


class BadKey(ValueError):
    """A public key with which no secret can be agreed; its sender is to blame."""


class BadSeal(ValueError):
    """A packet that was not sealed with this key, nonce and associated data, or was changed since."""


@dataclass(frozen=True, slots=True)
class SessionKeys:
    """An X25519 pair for one session (32 bytes each); its repr shows the public key only."""

    public: bytes
    secret: bytes = field(repr=False)

    @classmethod
    def from_secret(cls, secret: bytes) -> SessionKeys:
        """ValueError unless 32 bytes; a secret reconstructed from shares gives back the same public key."""
        return cls(X25519PrivateKey.from_private_bytes(secret).public_key().public_bytes_raw(), secret)


def shared(secret_key: bytes, peer_public: bytes) -> bytes:
    """The 32 bytes both sides agree on, before HKDF; BadKey for a point of low order or an encoding not our own.

    X25519 itself takes u and u + p, and ignores the top bit: one key in several encodings could pass for several keys,
    so only the encoding that `SessionKeys` writes is accepted.
    """
    if len(peer_public) != 32 or int.from_bytes(peer_public, "little") >= FIELD:
        raise BadKey("a public key is 32 bytes, little-endian, below 2^255 - 19")
    mine, theirs = X25519PrivateKey.from_private_bytes(secret_key), X25519PublicKey.from_public_bytes(peer_public)
    try:
        return mine.exchange(theirs)
    except ValueError as error:  # the result would be zero, whatever my secret
        raise BadKey("the public key is a point of low order") from error


def derive(ikm: bytes, salt: bytes, info: bytes, length: int = 32) -> bytes:
    """HKDF-SHA256 (RFC 5869) of the input key material: `length` bytes."""
    return HKDF(algorithm=SHA256(), length=length, salt=salt, info=info).derive(ikm)


def seal(key: bytes, nonce: bytes, plaintext: bytes, aad: bytes) -> bytes:
    """AES-256-GCM: ciphertext ‖ 16-byte tag. `key` is 32 bytes, `nonce` 12 and never twice under one key."""
    return _gcm(key, nonce).encrypt(nonce, plaintext, aad)


def unseal(key: bytes, nonce: bytes, sealed: bytes, aad: bytes) -> bytes:
    """The plaintext; BadSeal when key, nonce, bytes or associated data are not those of `seal`."""
    cipher = _gcm(key, nonce)
    try:
        return cipher.decrypt(nonce, sealed, aad)
    except InvalidTag as error:  # also where there is no room for a tag
        raise BadSeal("the packet does not open") from error


def _gcm(key: bytes, nonce: bytes) -> AESGCM:
    if len(key) != 32 or len(nonce) != 12:
        raise ValueError(f"AES-256-GCM takes a key of 32 bytes and a nonce of 12, not {len(key)} and {len(nonce)}")
    return AESGCM(key)
