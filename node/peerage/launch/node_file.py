"""`NODE.toml`: one peer on a machine of its own. Paths are relative to the file."""

import tomllib
from pathlib import Path

import msgspec

from peerage_crypto.errors import InputError


class NodeFile(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """With `data_source` every row of it is this peer's own. Without, each machine holds the federation's data whole,
    and `index` (0 to peers - 1, another on each machine) says which part of the partition is this peer's.
    """

    name: str
    federation: str = "federation.toml"
    deployment: str = "deployment.json"
    run_dir: str = "run"
    secrets: str = "secrets"
    password_file: str = ""  # empty: PEERAGE_PASSWORD
    listen_host: str = "127.0.0.1"
    rpc: str = ""  # empty: the deployment's
    data_source: str = ""  # empty: the federation's
    data_dir: str = ""
    index: int = 0


def read_node_file(path: Path) -> NodeFile:
    try:
        document = tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise InputError(f"{path} does not exist: name the NODE.toml of this peer") from None
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise InputError(f"{path} cannot be read: {error}") from None
    from peerage.config_toml import convert  # noqa: PLC0415 - one place for wrong keys and values

    return convert(document, NodeFile, where=str(path))
