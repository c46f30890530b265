"""Pulling and serving, with the network left out: credits, order, lies, silence and connections that break."""

import hashlib
import random

import pytest

from peerage.transport.bulk import Downloads, Uploads
from peerage.transport.frames import Answer, ChunkHeader, ChunkRequest, encode
from peerage.transport.interface import CHUNK, Fetched, FetchFailed, PeerFault

OWNER, OTHER = b"o" * 20, b"p" * 20
CREDITS = 4


def blob_of(size):
    blob = random.Random(size).randbytes(size)
    return blob, hashlib.sha256(blob).digest()


def pulling(*artefacts, limit=100 * CHUNK):
    downloads = Downloads(CREDITS, resend=2.0, stall=10.0)
    for artefact in artefacts:
        downloads.add(OWNER, artefact, limit, 0.0)
    return downloads


def answered(downloads, request, uploads, now=1.0):
    header, chunk = uploads.answer(request)
    return downloads.answer(OWNER, [encode(header), chunk], now)


def serving(*blobs):
    uploads = Uploads()
    uploads.lookup = {hashlib.sha256(blob).digest(): blob for blob in blobs}.get
    return uploads


def pulled(downloads, uploads, events=()):
    """Let both talk until nothing is asked any more."""
    events = list(events)
    waiting = downloads.requests(OWNER)
    while waiting:
        events += answered(downloads, waiting.pop(0), uploads)
        waiting += downloads.requests(OWNER)
    return events


@pytest.mark.parametrize("size", [0, 1, CHUNK - 1, CHUNK, CHUNK + 1, 4 * CHUNK, 9 * CHUNK + 17])
@pytest.mark.parametrize("slack", [0, 20 * CHUNK])
def test_a_blob_arrives_whole(size, slack):
    blob, artefact = blob_of(size)
    assert pulled(pulling(artefact, limit=size + slack), serving(blob)) == [Fetched(OWNER, artefact, blob)]


def test_never_more_is_under_way_than_the_credits():
    blobs = [blob_of(size) for size in (3 * CHUNK, 5, 7 * CHUNK)]
    downloads, uploads = pulling(*(artefact for _, artefact in blobs)), serving(*(blob for blob, _ in blobs))
    events, waiting = [], downloads.requests(OWNER)
    while waiting:
        assert len(waiting) == downloads.under_way(OWNER) <= CREDITS
        events += answered(downloads, waiting.pop(0), uploads)
        waiting += downloads.requests(OWNER)
    assert {event.artefact for event in events} == {artefact for _, artefact in blobs}


def test_owners_have_credits_each():
    blob, artefact = blob_of(9 * CHUNK)
    downloads = pulling(artefact)
    downloads.add(OTHER, artefact, len(blob), 0.0)
    assert len(downloads.requests(OWNER)) == len(downloads.requests(OTHER)) == CREDITS


def test_asking_twice_fetches_once():
    blob, artefact = blob_of(10)
    assert pulled(pulling(artefact, artefact), serving(blob)) == [Fetched(OWNER, artefact, blob)]


def test_what_the_owner_lacks_fails_without_blame():
    (event,) = pulled(pulling(b"x" * 32), serving())
    assert isinstance(event, FetchFailed)
    assert "does not have" in event.reason


def test_other_bytes_are_blamed_on_their_owner():
    blob, artefact = blob_of(100)
    uploads = Uploads()
    uploads.lookup = lambda _: blob[:-1] + b"!"
    fault, failed = pulled(pulling(artefact), uploads)
    assert (fault.address, failed.artefact) == (OWNER, artefact)
    assert "hash" in fault.sentence


@pytest.mark.parametrize(
    ("header", "chunk", "word"),
    [
        ((0, 1001, Answer.CHUNK), b"x" * 1001, "at most 1000"),
        ((0, 2**40, Answer.CHUNK), b"x", "at most 1000"),
        ((0, 900, Answer.CHUNK), b"x" * 899, "899 bytes"),
        ((0, 900, Answer.CHUNK), b"", "0 bytes"),
        ((950, 900, Answer.CHUNK), b"", "at offset 950"),
        ((0, 0, Answer.MISSING), b"x", "there is none"),
    ],
)
def test_an_answer_that_no_honest_owner_gives_ends_the_fetch(header, chunk, word):
    _, artefact = blob_of(900)
    downloads = pulling(artefact, limit=1000)
    downloads.requests(OWNER)
    fault, failed = downloads.answer(OWNER, [encode(ChunkHeader(1, artefact, *header)), chunk], 1.0)
    assert isinstance(fault, PeerFault)
    assert isinstance(failed, FetchFailed)
    assert word in fault.sentence
    assert downloads.deadline() is None


def test_a_total_that_changes_ends_the_fetch():
    blob, artefact = blob_of(3 * CHUNK)
    downloads = pulling(artefact, limit=4 * CHUNK)
    downloads.requests(OWNER)
    for total in (3 * CHUNK, 4 * CHUNK):
        head = encode(ChunkHeader(1, artefact, 0 if total == 3 * CHUNK else CHUNK, total, Answer.CHUNK))
        events = downloads.answer(OWNER, [head, blob[:CHUNK]], 1.0)
    assert "and then" in events[0].sentence


def test_garbage_is_a_fault_and_nothing_else():
    blob, artefact = blob_of(10)
    downloads, uploads = pulling(artefact), serving(blob)
    downloads.requests(OWNER)
    (fault,) = downloads.answer(OWNER, [b"garbage"], 1.0)
    assert isinstance(fault, PeerFault)
    downloads.restart(OWNER, 2.0)
    assert pulled(downloads, uploads) == [Fetched(OWNER, artefact, blob)]


def test_chunks_that_nobody_asked_for_are_dropped_and_a_stream_of_them_is_a_fault():
    blob, artefact = blob_of(CHUNK)
    downloads = pulling()
    message = [encode(ChunkHeader(1, artefact, 0, CHUNK, Answer.CHUNK)), blob]
    events = [event for _ in range(130) for event in downloads.answer(OWNER, message, 1.0)]
    assert len(events) == 2
    assert all(isinstance(event, PeerFault) for event in events)


def test_after_a_new_connection_only_what_is_missing_is_asked_again():
    blob, artefact = blob_of(6 * CHUNK)
    downloads, uploads = pulling(artefact, limit=len(blob)), serving(blob)
    for request in downloads.requests(OWNER)[:2]:
        answered(downloads, request, uploads)
    downloads.restart(OWNER, 3.0)
    again = downloads.requests(OWNER)
    assert [request.offset for request in again] == [2 * CHUNK, 3 * CHUNK, 4 * CHUNK, 5 * CHUNK]
    downloads.restart(OWNER, 3.0)
    assert pulled(downloads, uploads) == [Fetched(OWNER, artefact, blob)]


def test_a_lost_answer_is_asked_for_again_and_late_ones_do_no_harm():
    blob, artefact = blob_of(3 * CHUNK)
    downloads, uploads = pulling(artefact, limit=len(blob)), serving(blob)
    first, second, third = downloads.requests(OWNER)
    answered(downloads, first, uploads, now=0.5)
    assert answered(downloads, third, uploads, now=0.6) == []
    assert downloads.due(2.6) == ([], [OWNER])
    assert answered(downloads, second, uploads, now=2.7) == []
    assert pulled(downloads, uploads) == [Fetched(OWNER, artefact, blob)]


def test_a_silent_owner_fails_after_the_stall_however_much_it_says_that_is_no_chunk():
    blob, artefact = blob_of(3 * CHUNK)
    downloads = pulling(artefact, limit=len(blob))
    past_end = encode(ChunkHeader(1, artefact, 0, len(blob), Answer.PAST_END))
    for now in range(1, 10):
        downloads.requests(OWNER)
        assert downloads.answer(OWNER, [past_end, b""], float(now)) == []
        downloads.due(float(now))
    events, again = downloads.due(10.0)
    assert [type(event) for event in events] == [FetchFailed]
    assert again == []
    assert downloads.deadline() is None


def test_the_deadline_is_the_next_thing_to_do():
    downloads = pulling(blob_of(1)[1])
    assert downloads.deadline() == 2.0
    downloads.due(9.0)
    assert downloads.deadline() == 10.0


def test_an_abandoned_owner_fails_what_was_wanted():
    downloads = pulling(b"1" * 32, b"2" * 32)
    assert [event.artefact for event in downloads.abandon(OWNER, "gone")] == [b"1" * 32, b"2" * 32]
    assert downloads.abandon(OWNER, "gone") == []


def test_a_blob_is_looked_up_once_and_sliced_without_copying():
    blob, artefact = blob_of(3 * CHUNK)
    calls = []
    uploads = Uploads()
    uploads.lookup = lambda name: calls.append(name) or blob
    chunks = [uploads.answer(ChunkRequest(1, artefact, offset))[1] for offset in range(0, 3 * CHUNK, CHUNK)]
    assert calls == [artefact]
    assert all(chunk.obj is blob for chunk in chunks)


def test_a_store_that_cannot_be_read_serves_nothing():
    def broken(_artefact):
        raise PermissionError

    uploads = Uploads()
    uploads.lookup = broken
    assert uploads.answer(ChunkRequest(1, b"x" * 32, 0))[0].answer is Answer.MISSING


def test_past_the_end_there_is_no_chunk():
    blob, artefact = blob_of(CHUNK)
    header, chunk = serving(blob).answer(ChunkRequest(1, artefact, CHUNK))
    assert (header.answer, len(chunk)) == (Answer.PAST_END, 0)
