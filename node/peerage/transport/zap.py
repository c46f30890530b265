"""Who may open a CURVE connection: libzmq asks for each handshake (ZAP, RFC 27), we look in the directory.

We answer on our own I/O thread from a dictionary in memory: no second thread that an exception could end (every later
peer would be refused), no call to a chain inside a handshake, no wildcard domain that matches nothing. The ``User-
Id`` we attach is the hex of the key; it comes back with every frame of that connection and is the only thing a sender
is known by.
"""

from collections.abc import Callable, Sequence

ZAP_ENDPOINT = "inproc://zeromq.zap.01"
DOMAIN = b"peerage"

_VERSION = b"1.0"


def zap_answer(frames: Sequence[bytes], admits: Callable[[bytes], bool]) -> list[bytes] | None:
    """The reply to one request (envelope already removed), or None if it is not ZAP at all.

    Requests are [version, request id, domain, address, routing id, mechanism, credential…]; CURVE's one credential is
    the raw key. A stranger gets 400 and not 300 ("not now"): after a 300 libzmq leaves the caller waiting for the whole
    handshake interval, and a peer whose registration we have not read yet would come in seconds late. After a 400 it
    hears so at once and tries again.
    """
    if len(frames) < 6 or frames[0] != _VERSION:
        return None
    request, domain, mechanism, credentials = frames[1], frames[2], frames[5], frames[6:]
    curve = domain == DOMAIN and mechanism == b"CURVE" and len(credentials) == 1 and len(credentials[0]) == 32
    if not curve:
        return [_VERSION, request, b"400", b"CURVE in our domain only", b"", b""]
    key = credentials[0]
    if not admits(key):
        return [_VERSION, request, b"400", b"not an active peer", b"", b""]
    return [_VERSION, request, b"200", b"", key.hex().encode(), b""]
