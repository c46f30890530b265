"""Many small artefacts pulled by several peers at once: no answer is lost to a full pipe that is not full."""

import hashlib
from queue import SimpleQueue

from peerage.transport.curve import ZmqTransport
from peerage.transport.interface import Fetched, FetchFailed, PeerContact
from peerage.transport.limits import TransportSettings
from peerage_crypto.identity import CurveKeys

# whatever were lost would be asked for again only after the test has given up
PATIENT = TransportSettings(resend=60.0, stall=120.0, requests_a_second=1e6)
BLOBS = {hashlib.sha256(blob).digest(): blob for blob in (bytes([i % 251]) * (20 * i + 1) for i in range(600))}
OWNER = b"\x01" * 20
SEVERAL_CHUNKS = 4 << 20  # the limit that a puller names; it asks for so many chunks before it knows the size


def test_honest_pullers_never_wait_for_a_second_request() -> None:
    transports: dict[bytes, ZmqTransport] = {}
    contacts: dict[bytes, PeerContact] = {}
    try:
        for number in range(1, 5):
            keys, name = CurveKeys.from_secret(hashlib.sha256(bytes([number])).digest()), bytes([number]) * 20
            transports[name] = ZmqTransport(keys, "127.0.0.1", settings=PATIENT)
            contacts[name] = PeerContact(keys.public, transports[name].bind(), active=True)
        events = {name: SimpleQueue() for name in transports}
        for name, transport in transports.items():
            transport.update_directory(contacts)
            transport.serve(BLOBS.get)
            transport.start(name, events[name].put)
        pullers = [name for name in transports if name != OWNER]
        for artefact in BLOBS:
            for name in pullers:
                transports[name].fetch(OWNER, artefact, SEVERAL_CHUNKS)
        for name in pullers:
            waited_for = set(BLOBS)
            while waited_for:
                event = events[name].get(timeout=20)
                assert not isinstance(event, FetchFailed), event
                if isinstance(event, Fetched):
                    assert event.data == BLOBS[event.artefact]
                    waited_for.remove(event.artefact)
    finally:
        for transport in transports.values():
            transport.close()
