"""A peer's two secrets at rest: its Ethereum account and its CURVE transport key, each in a V3 keystore.

Both files lie in one folder (0700) and open with one password, which comes from a file (0600) or the environment, never
from the command line. In a local run each password is 32 random bytes, so scrypt has nothing to stretch and is kept
short there; for a password that a person chose it stays at its full strength.
"""

import json
import os
import secrets
from dataclasses import dataclass
from pathlib import Path

from peerage_crypto.errors import InputError
from peerage_crypto.identity import Account, CurveKeys, decrypt_keystore, encrypt_keystore

DEPLOYER = "deployer"  # the account that pays for contracts and stakes in a local run
SCRYPT_RANDOM_PASSWORD = 1 << 10
SCRYPT_HUMAN_PASSWORD = 1 << 18
PASSWORD_VARIABLE = "PEERAGE_PASSWORD"  # noqa: S105 - the variable's name, not a password
MAX_KEYSTORE_BYTES = 1 << 16


@dataclass(frozen=True, slots=True)
class PeerKeys:
    account: Account
    curve: CurveKeys


def random_secret() -> bytes:
    """32 bytes from the operating system; forked peers inherit every other generator's state."""
    return os.urandom(32)


def account_file(folder: Path, name: str) -> Path:
    return folder / f"{name}.json"


def curve_file(folder: Path, name: str) -> Path:
    return folder / f"{name}.curve.json"


def password_file(folder: Path, name: str) -> Path:
    return folder / f"{name}.password"


def make_private_folder(folder: Path) -> Path:
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    folder.chmod(0o700)
    return folder


def create_with_random_password(folder: Path, name: str) -> PeerKeys:
    """Keys for a peer of a local run: the password goes to `<name>.password` beside them."""
    password = secrets.token_hex(32)
    keys = create_keys(folder, name, password, scrypt_n=SCRYPT_RANDOM_PASSWORD)
    write_private(password_file(folder, name), password.encode())
    return keys


def keys_of_run(folder: Path, name: str, *, begun: bool) -> PeerKeys:
    """Keys of a local run, made where there are none. Its launcher may have been killed while it made them: as long as
    the run has not begun, nobody knows half-made ones, and they are made anew. InputError: begun, and they are gone.
    """
    if begun or password_file(folder, name).exists():
        return load_keys(folder, name, read_password(password_file(folder, name)))
    for path in (account_file(folder, name), curve_file(folder, name)):
        path.unlink(missing_ok=True)
    return create_with_random_password(folder, name)


def create_keys(folder: Path, name: str, password: str, *, scrypt_n: int = SCRYPT_HUMAN_PASSWORD) -> PeerKeys:
    """Refuses to write over existing keys: with the account go its stake and its rewards."""
    for path in (account_file(folder, name), curve_file(folder, name)):
        if path.exists():
            raise InputError(f"{path} exists already: choose another --name, or move the old keys away yourself")
    keys = PeerKeys(Account.from_secret(random_secret()), CurveKeys.from_secret(random_secret()))
    make_private_folder(folder)
    _write_keystore(account_file(folder, name), keys.account.secret, password, scrypt_n)
    _write_keystore(curve_file(folder, name), keys.curve.secret, password, scrypt_n)
    return keys


def rotate_curve(folder: Path, name: str, password: str, *, scrypt_n: int = SCRYPT_HUMAN_PASSWORD) -> PeerKeys:
    """A new transport key for the same account; the old one is forgotten. The registry must be told next."""
    account = load_account(account_file(folder, name), password)
    load_account(curve_file(folder, name), password)  # the password must open what it is about to replace
    curve = CurveKeys.from_secret(random_secret())
    _write_keystore(curve_file(folder, name), curve.secret, password, scrypt_n)
    return PeerKeys(account, curve)


def load_keys(folder: Path, name: str, password: str) -> PeerKeys:
    """`InputError` when a file is missing, is no keystore, or the password does not open it."""
    return PeerKeys(
        load_account(account_file(folder, name), password),
        CurveKeys.from_secret(_open(curve_file(folder, name), password)),
    )


def load_account(path: Path, password: str) -> Account:
    return Account.from_secret(_open(path, password))


def read_password(path: Path | None) -> str:
    """From this file, else from PEERAGE_PASSWORD; a trailing newline is the editor's, not the password's."""
    if path is None:
        password = os.environ.get(PASSWORD_VARIABLE)
        if not password:
            raise InputError(f"no password: give --password-file FILE or set {PASSWORD_VARIABLE}")
        return password
    try:
        return path.read_text(encoding="utf-8").rstrip("\r\n")
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"the password file {path} cannot be read: {error}") from None


def write_private(path: Path, data: bytes) -> None:
    """Write whole or not at all, readable by the owner only from the first byte."""
    partial = path.with_name(f".{path.name}.partial")
    partial.unlink(missing_ok=True)
    descriptor = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
    partial.replace(path)


def _write_keystore(path: Path, secret: bytes, password: str, scrypt_n: int) -> None:
    write_private(path, json.dumps(encrypt_keystore(secret, password, n=scrypt_n)).encode())


def _open(path: Path, password: str) -> bytes:
    try:
        if path.stat().st_size > MAX_KEYSTORE_BYTES:
            raise InputError(f"{path} is no keystore: it is larger than {MAX_KEYSTORE_BYTES} bytes")
        document = json.loads(path.read_bytes())
    except FileNotFoundError:
        raise InputError(f"{path} does not exist: make keys with `peerage keys new`") from None
    except (OSError, ValueError, RecursionError) as error:
        raise InputError(f"{path} is no keystore: {error}") from None
    if not isinstance(document, dict):
        raise InputError(f"{path} is no keystore: it holds no JSON object")
    try:
        return decrypt_keystore(document, password)
    except InputError as error:
        raise InputError(f"{path}: {error}") from None
