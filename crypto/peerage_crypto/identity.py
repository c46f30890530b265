"""Who signs: Ethereum accounts, EIP-712 digests, keystores at rest, and the X25519 pair of a transport.

Signatures are r ‖ s ‖ v (65 bytes, v 27 or 28) with s in the lower half of the order, as OpenZeppelin's ECDSA wants
them: of the two signatures that recover to one signer only one counts, so a signature can name a statement.
"""

from __future__ import annotations

import hmac
import os
import uuid
from dataclasses import dataclass, field
from functools import lru_cache
from typing import TYPE_CHECKING, cast

from coincurve import PrivateKey, PublicKey
from Crypto.Protocol.KDF import scrypt
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
from cryptography.hazmat.primitives.ciphers import Cipher
from cryptography.hazmat.primitives.ciphers.algorithms import AES
from cryptography.hazmat.primitives.ciphers.modes import CTR
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.pbkdf2 import PBKDF2HMAC

from peerage_crypto.digest import keccak256
from peerage_crypto.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

ORDER = 0xFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFEBAAEDCE6AF48A03BBFD25E8CD0364141  # of secp256k1
DOMAIN_TYPE = "EIP712Domain(string name,string version,uint256 chainId,address verifyingContract)"

SCRYPT_N, SCRYPT_R, SCRYPT_P = 1 << 18, 8, 1  # geth's and eth-account's strength
MAX_SCRYPT_MEMORY = 1 << 30  # bytes; a keystore may come from anywhere and names its own cost
MAX_SCRYPT_BLOCKS = 128  # r * p
MAX_PBKDF2_ROUNDS = 10_000_000


class BadSignature(ValueError):
    """No account can have made these bytes as a signature."""


# -- accounts ----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Account:
    """An Ethereum account that can sign; its repr shows the address only."""

    address: bytes
    secret: bytes = field(repr=False)
    _key: PrivateKey = field(repr=False, compare=False)

    @classmethod
    def from_secret(cls, secret: bytes) -> Account:
        """InputError unless `secret` is 32 bytes between 1 and the order of secp256k1."""
        if len(secret) != 32 or not 0 < int.from_bytes(secret, "big") < ORDER:
            raise InputError("the secret of an account must be 32 bytes between 1 and the order of secp256k1")
        key = PrivateKey(secret)
        return cls(_address(key.public_key), secret, key)

    def sign(self, digest: bytes) -> bytes:
        """65 bytes over a digest of 32; deterministic (RFC 6979)."""
        if len(digest) != 32:
            raise ValueError(f"a digest has 32 bytes, not {len(digest)}")
        signature = self._key.sign_recoverable(digest, hasher=None)
        return signature[:64] + bytes([27 + signature[64]])


def _address(key: PublicKey) -> bytes:
    return keccak256(key.format(compressed=False)[1:])[12:]


def recover(digest: bytes, signature: bytes) -> bytes:
    """The address whose signature this is; BadSignature when malformed. Any 65 good bytes give *some* address."""
    if len(digest) != 32:
        raise ValueError(f"a digest has 32 bytes, not {len(digest)}")
    return _recover(bytes(digest), bytes(signature))


# A certificate carries the same votes to every member, and a simulated federation verifies them once per peer.
@lru_cache(maxsize=1 << 15)
def _recover(digest: bytes, signature: bytes) -> bytes:
    if len(signature) != 65:
        raise BadSignature(f"a signature has 65 bytes, not {len(signature)}")
    if signature[64] not in (27, 28):
        raise BadSignature(f"the last byte of a signature is 27 or 28, not {signature[64]}")
    r, s = int.from_bytes(signature[:32], "big"), int.from_bytes(signature[32:64], "big")
    if not 0 < r < ORDER or not 0 < s <= ORDER // 2:
        raise BadSignature("r or s of the signature is out of range (s must be in the lower half)")
    try:
        key = PublicKey.from_signature_and_message(signature[:64] + bytes([signature[64] - 27]), digest, hasher=None)
    except Exception as error:  # coincurve raises bare Exception
        raise BadSignature("no key can have made this signature") from error
    return _address(key)


# -- EIP-712 -----------------------------------------------------------------------------------------------------------


@lru_cache(maxsize=256)
def eip712_domain(name: str, version: str, chain_id: int, verifying_contract: bytes) -> bytes:
    """The separator: a signature under it means nothing on another chain or for another contract."""
    return _hash_struct(DOMAIN_TYPE, [name, version, chain_id, verifying_contract])


def eip712_digest(separator: bytes, type_string: str, values: Sequence[bytes | int | str]) -> bytes:
    """What is signed for one struct of flat fields, e.g. `Vote(bytes32 sid,bytes32 survivors)`.

    Field types: bytes1 to bytes32, address, uint8 to uint256, bool, and bytes or string, which enter by their hash.
    ValueError when a value does not fit its type.
    """
    if len(separator) != 32:
        raise ValueError(f"a domain separator has 32 bytes, not {len(separator)}")
    return keccak256(b"\x19\x01" + separator + _hash_struct(type_string, values))


def _hash_struct(type_string: str, values: Sequence[bytes | int | str]) -> bytes:
    type_hash, kinds = _parse_type(type_string)
    if len(kinds) != len(values):
        raise ValueError(f"{type_string} has {len(kinds)} fields, not {len(values)}")
    return keccak256(type_hash + b"".join(_word(kind, value) for kind, value in zip(kinds, values, strict=True)))


@lru_cache(maxsize=256)
def _parse_type(type_string: str) -> tuple[bytes, tuple[str, ...]]:
    name, bracket, fields = type_string.partition("(")
    if not name.isidentifier() or not bracket or not fields.endswith(")"):
        raise ValueError(f"no EIP-712 type: {type_string}")
    declared = [field_.split(" ") for field_ in fields[:-1].split(",")] if fields != ")" else []
    if any(len(parts) != 2 or not parts[1].isidentifier() for parts in declared):
        raise ValueError(f"no EIP-712 type: {type_string}")
    return keccak256(type_string.encode()), tuple(kind for kind, _ in declared)


def _word(kind: str, value: bytes | int | str) -> bytes:
    """One field in its 32 bytes."""
    if isinstance(value, str):
        if kind == "string":
            return keccak256(value.encode())
    elif isinstance(value, int):
        bits = 1 if kind == "bool" else _suffix(kind, "uint", 256)
        if bits and (bits == 1 or bits % 8 == 0) and 0 <= value < 1 << bits:
            return value.to_bytes(32, "big")
    elif kind in ("bytes", "string"):
        return keccak256(value)
    elif kind == "address" and len(value) == 20:
        return value.rjust(32, b"\0")
    elif len(value) == _suffix(kind, "bytes", 32) > 0:
        return value.ljust(32, b"\0")
    raise ValueError(f"{value!r} is no {kind}")


def _suffix(kind: str, prefix: str, largest: int) -> int:
    """32 for `bytes32`; 0 where the type is another one."""
    digits = kind.removeprefix(prefix)
    if digits == kind or not digits.isdecimal() or digits.startswith("0") or int(digits) > largest:
        return 0
    return int(digits)


# -- keystores (Web3 Secret Storage, version 3) ------------------------------------------------------------------------


def encrypt_keystore(secret: bytes, password: str, *, n: int = SCRYPT_N, rand: bytes = b"") -> dict[str, object]:
    """A V3 keystore that geth and MetaMask open too; n is the cost of scrypt (a power of two).

    `rand` is 64 bytes for salt, IV and id; left empty they come from the operating system, since only a test can
    want them otherwise. No address is written: the secret may be a transport key, and its owner knows it anyway.
    """
    rand = rand or os.urandom(64)
    if len(rand) != 64 or len(secret) != 32:
        raise ValueError("a keystore takes a secret of 32 bytes and 64 random bytes")
    salt, iv, name = rand[:32], rand[32:48], rand[48:]
    key = _scrypt(password, salt, n, SCRYPT_R, SCRYPT_P)
    ciphertext = _aes128_ctr(key, iv, secret)
    return {
        "version": 3,
        "id": str(uuid.UUID(bytes=name, version=4)),
        "crypto": {
            "cipher": "aes-128-ctr",
            "cipherparams": {"iv": iv.hex()},
            "ciphertext": ciphertext.hex(),
            "kdf": "scrypt",
            "kdfparams": {"dklen": 32, "n": n, "r": SCRYPT_R, "p": SCRYPT_P, "salt": salt.hex()},
            "mac": keccak256(key[16:32] + ciphertext).hex(),
        },
    }


def decrypt_keystore(keystore: Mapping[str, object], password: str) -> bytes:
    """The secret of a V3 keystore (scrypt or PBKDF2); InputError for a wrong password or a malformed file."""
    try:
        key, iv, ciphertext, mac = _read_keystore(keystore, password)
    except (KeyError, TypeError, AttributeError, ValueError) as error:
        raise InputError(f"the keystore is malformed ({error}): restore it from a backup") from None
    if not hmac.compare_digest(keccak256(key[16:32] + ciphertext), mac):
        raise InputError("the password does not open the keystore: check the password file or variable")
    return _aes128_ctr(key, iv, ciphertext)


def _read_keystore(keystore: Mapping[str, object], password: str) -> tuple[bytes, bytes, bytes, bytes]:
    """The stretched key, IV, ciphertext and MAC; any of four errors where the file is not what it should be."""
    crypto = cast("Mapping[str, object]", keystore.get("crypto") or keystore["Crypto"])
    params = cast("Mapping[str, object]", crypto["cipherparams"])
    iv, ciphertext = bytes.fromhex(str(params["iv"])), bytes.fromhex(str(crypto["ciphertext"]))
    mac = bytes.fromhex(str(crypto["mac"]))
    if keystore["version"] != 3 or crypto["cipher"] != "aes-128-ctr" or (len(iv), len(mac)) != (16, 32):
        raise ValueError("only version 3 with aes-128-ctr is read")
    return (
        _stretch(str(crypto["kdf"]), cast("Mapping[str, object]", crypto["kdfparams"]), password),
        iv,
        ciphertext,
        mac,
    )


def _stretch(kdf: str, params: Mapping[str, object], password: str) -> bytes:
    def number(name: str) -> int:
        value = params[name]
        if type(value) is not int or value < 1:
            raise ValueError(f"{name} must be a positive integer")
        return value

    salt = bytes.fromhex(str(params["salt"]))
    if number("dklen") != 32:
        raise ValueError("dklen must be 32")
    if kdf == "scrypt":
        n, r, p = number("n"), number("r"), number("p")
        if 128 * n * r > MAX_SCRYPT_MEMORY or r * p > MAX_SCRYPT_BLOCKS:
            raise ValueError("scrypt would take more than 1 GiB, or r * p more than 128")
        return _scrypt(password, salt, n, r, p)
    if kdf == "pbkdf2" and params.get("prf") == "hmac-sha256" and number("c") <= MAX_PBKDF2_ROUNDS:
        return PBKDF2HMAC(algorithm=SHA256(), length=32, salt=salt, iterations=number("c")).derive(password.encode())
    raise ValueError(f"the key derivation {kdf} is not known")


def _scrypt(password: str, salt: bytes, n: int, r: int, p: int) -> bytes:
    # pycryptodome's, because OpenSSL refuses r = 1 with n = 2^18, which older wallets (and the definition) use
    stretch = cast("Callable[..., bytes]", scrypt)  # its stub wants str where its code wants bytes
    return stretch(password.encode(), salt, 32, N=n, r=r, p=p)


def _aes128_ctr(key: bytes, iv: bytes, data: bytes) -> bytes:
    return Cipher(AES(key[:16]), CTR(iv)).encryptor().update(data)


# -- transport ---------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class CurveKeys:
    """The X25519 pair of a CurveZMQ socket (32 bytes each); its repr shows the public key only."""

    public: bytes
    secret: bytes = field(repr=False)

    @classmethod
    def from_secret(cls, secret: bytes) -> CurveKeys:
        """InputError unless 32 bytes; clamping is X25519's own affair."""
        if len(secret) != 32:
            raise InputError(f"the secret of a transport key must be 32 bytes, not {len(secret)}")
        return cls(X25519PrivateKey.from_private_bytes(secret).public_key().public_bytes_raw(), secret)
