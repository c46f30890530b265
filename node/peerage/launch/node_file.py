"""`NODE.toml`: one peer on a machine of its own. Paths are relative to the file."""

import tomllib
from pathlib import Path
from typing import Annotated

import msgspec

from peerage.transport.interface import RELAYS, parse_endpoint
from peerage_crypto.errors import InputError
from peerage_ledger.fees import GWEI, MOST_FEE

LISTEN_HOST = "127.0.0.1"


class NodeFile(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """With `data_source` every row of it is this peer's own. Without, each machine holds the federation's data whole,
    and `index` (0 to peers - 1, another on each machine) says which part of the partition is this peer's.

    `relay` names peers (by address, in order of preference) through which the others reach one that nobody can dial;
    it then listens nowhere. They say `forwards = true`. While gas costs more than `most_fee_gwei`, records wait.
    """

    name: str
    federation: str = "federation.toml"
    deployment: str = "deployment.json"
    run_dir: str = "run"
    secrets: str = "secrets"
    password_file: str = ""  # empty: PEERAGE_PASSWORD
    listen_host: str = LISTEN_HOST
    relay: tuple[str, ...] = ()
    forwards: bool = False
    rpc: str = ""  # empty: the deployment's
    invitation: str = ""  # a file of `peerage invite`, where the federation admits by invitation
    most_fee_gwei: Annotated[int, msgspec.Meta(ge=1, le=10**9)] = MOST_FEE // GWEI
    data_source: str = ""  # empty: the federation's
    data_dir: str = ""
    index: int = 0
    threads: Annotated[int, msgspec.Meta(ge=0, le=1024)] = 0  # of a fine-tune; 0: as many as prove worth it


def read_node_file(path: Path) -> NodeFile:
    try:
        document = tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise InputError(f"{path} does not exist: name the NODE.toml of this peer") from None
    except (OSError, ValueError, RecursionError) as error:  # not UTF-8, not TOML, a number of 5000 digits
        raise InputError(f"{path} cannot be read: {error}") from None
    from peerage.config_toml import convert  # noqa: PLC0415 - one place for wrong keys and values

    return convert(document, NodeFile, where=str(path))


def listening(settings: NodeFile, me: bytes) -> str:
    """What the transport takes as its host. InputError where the file says two things at once."""
    if not settings.relay:
        if not settings.listen_host:
            raise InputError('listen_host is empty: name an address of this machine, or relay = ["0x..."]')
        return settings.listen_host + (RELAYS if settings.forwards else "")
    if settings.forwards or settings.listen_host not in {"", LISTEN_HOST}:
        raise InputError("a peer with relay = [...] listens nowhere: take listen_host and forwards out, or relay")
    host = "relay:" + ",".join(settings.relay)
    try:
        named = parse_endpoint(host).via
    except InputError:
        raise InputError(f"relay = {list(settings.relay)} is not 1 to 4 different addresses 0x...") from None
    if me in named:
        raise InputError(f"relay names this peer itself, 0x{me.hex()}: name another that says forwards = true")
    return host
