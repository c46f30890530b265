"""What the launcher tells a peer process, and what the process tells the launcher.

The pipe carries msgpack, not pickle. It has three uses: the peer's `Status` goes up after every change; the launcher's
end closing (EOF) asks the peer to stop, and so no peer outlives a killed launcher; a peer that has finished its rounds
says `finished` and stays to serve the others until that EOF.
"""

from multiprocessing.connection import Connection
from typing import Literal

import msgspec

from peerage.config import Behaviour
from peerage_ledger.fees import MOST_FEE

State = Literal["starting", "ready", "running", "finished", "failed"]

MAX_STATUS_BYTES = 1 << 16


class PeerSpec(msgspec.Struct, frozen=True, kw_only=True):
    """Everything one peer process is started with; paths are absolute, secrets stay in files."""

    name: str
    index: int  # 0-based: the peer's part of the partition
    run_dir: str
    secrets_dir: str
    password_file: str
    deployment: str  # deployment.json
    host_probe: str  # host.json, probed once per machine by the launcher; empty: probe yourself
    listen_host: str = "127.0.0.1"
    seed: int = 0  # of the federation
    own_rows: bool = False  # the data source holds this peer's rows only: no partition is cut from it
    resume: bool = False
    behaviour: Behaviour = "honest"  # only from the cast of a launcher's federation file
    slow: int = 1  # times longer for the same training
    invitation: tuple[str, ...] = ()  # hex, as the register takes it; empty where the federation is open
    most_fee: int = MOST_FEE  # wei per gas: above it records wait
    threads: int = 1  # of a fine-tune; 0: measured
    alone: bool = False  # on its host, among peers: of the devices it takes what its process kept busy


class Status(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One line of the live table. Totals are cumulative over the whole run, restarts included."""

    peer: str
    state: State
    phase: str = ""  # wait | train | mask | exchange | unmask | score | ledger
    round: int = 0  # the round being worked on; 0 before the first
    version: int = 0
    accuracy: float | None = None  # of the peer's model on the test split
    bytes_sent: int = 0
    bytes_received: int = 0
    energy_wh: float = 0.0
    earned: str = "0"  # smallest unit
    note: str = ""  # one sentence for people, shown below the table


_decoder = msgspec.msgpack.Decoder(Status)
_encoder = msgspec.msgpack.Encoder()


def send_status(pipe: Connection, status: Status) -> None:
    """Raises OSError when the launcher is gone; the caller stops then."""
    pipe.send_bytes(_encoder.encode(status))


def receive_status(pipe: Connection) -> Status:
    """Raises EOFError when the process is gone, `msgspec.DecodeError` on garbage."""
    return _decoder.decode(pipe.recv_bytes(MAX_STATUS_BYTES))
