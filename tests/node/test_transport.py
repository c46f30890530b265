"""The seam itself: endpoints that others wrote, frames that we must not send."""

import pytest

from peerage.transport.curve import ZmqTransport
from peerage.transport.interface import CONTROL_LIMIT, Endpoint, Transport, check_frame, parse_endpoint
from peerage.transport.limits import Allowance, TokenBucket, TransportSettings
from peerage.transport.loopback import LoopbackNetwork
from peerage_crypto.errors import InputError, OurError
from peerage_crypto.identity import CurveKeys


@pytest.mark.parametrize("text", ["tcp://127.0.0.1:40001/40002", "tcp://192.0.2.7:1/65535", "tcp://[::1]:7/8"])
def test_an_endpoint_reads_as_it_is_written(text):
    assert str(parse_endpoint(text)) == text


HEX = "0x" + "ab" * 20


@pytest.mark.parametrize("text", ["tcp://127.0.0.1:40001/40002/40003", f"relay:{HEX}", f"relay:{HEX},0x{'cd' * 20}"])
def test_an_endpoint_says_who_forwards(text):
    assert str(parse_endpoint(text)) == text


def test_an_endpoint_that_nobody_can_dial_has_relays_and_no_ports():
    assert parse_endpoint(f"relay:{HEX.upper().replace('0X', '0x')}") == Endpoint("", 0, 0, via=(b"\xab" * 20,))


def test_the_longest_endpoint_fits_the_registry():
    assert len("relay:" + ",".join([HEX] * 4)) <= 255


def test_an_endpoint_names_two_doors():
    endpoint = parse_endpoint("tcp://127.0.0.1:40001/40002")
    assert endpoint == Endpoint("127.0.0.1", 40001, 40002)
    assert (endpoint.control_url(), endpoint.bulk_url()) == ("tcp://127.0.0.1:40001", "tcp://127.0.0.1:40002")


@pytest.mark.parametrize(
    "text",
    [
        "",
        "tcp://127.0.0.1:40001",
        "tcp://127.0.0.1:0/1",
        "tcp://127.0.0.1:65536/1",
        "tcp://127.0.0.1:7/7",
        "tcp://*:1/2",
        "tcp://0.0.0.0:1/2",
        "tcp://[::]:1/2",
        "ipc:///etc/passwd",
        "inproc://zeromq.zap.01",
        "tcp://a;b:1/2",
        "tcp://slow-name.example.org:1/2",
        "tcp://1.2.3.4.5:1/2",
        "tcp://[::::]:1/2",
        "tcp://[127.0.0.1:1/2",
        "tcp://224.0.0.1:1/2",
        "tcp://256.0.0.1:1/2",
        "tcp://127.0.0.1:1/2\n",
        "tcp://127.0.0.1:١/2",  # noqa: RUF001
        "tcp://" + "a" * 300 + ":1/2",
        "tcp://127.0.0.1:1/2/0",
        "tcp://127.0.0.1:1/2/2",
        "tcp://127.0.0.1:1/2/3/4",
        "relay:",
        "relay:0x" + "ab" * 19,
        "relay:0x" + "ab" * 21,
        "relay:" + "ab" * 20,
        "relay:0x" + "ab" * 20 + ",",
        "relay:0x" + "ab" * 20 + ", 0x" + "cd" * 20,
        "relay:" + ",".join(["0x" + "ab" * 20] * 2),
        "relay:" + ",".join("0x" + f"{n:02x}" * 20 for n in range(5)),
    ],
)
def test_any_other_endpoint_is_refused_with_a_sentence(text):
    with pytest.raises(InputError, match="endpoint"):
        parse_endpoint(text)


@pytest.mark.parametrize("length", [0, CONTROL_LIMIT + 1])
def test_a_frame_of_no_legal_length_is_our_bug(length):
    with pytest.raises(OurError, match=str(length)):
        check_frame(bytes(length))


def test_the_longest_frame_is_legal():
    check_frame(bytes(CONTROL_LIMIT))


def test_a_bucket_lets_a_burst_through_and_then_the_rate():
    bucket = TokenBucket(rate=2.0, burst=3.0)
    assert [bucket.take(1, 10.0) for _ in range(4)] == [True, True, True, False]
    assert [bucket.take(1, 11.0) for _ in range(3)] == [True, True, False]


def test_an_allowance_counts_frames_bytes_and_complaints_apart():
    allowance = Allowance(TransportSettings(frames_a_second=100, bytes_a_second=10, requests_a_second=1))
    assert allowance.frame(20, 0.0)
    assert not allowance.frame(1, 0.0)  # bytes are used up, frames are not
    assert [allowance.request(0.0) for _ in range(3)] == [True, True, False]
    assert sum(allowance.fault(0.0) for _ in range(100)) == 5


def test_both_transports_keep_the_protocol():
    transports: list[Transport] = [
        ZmqTransport(CurveKeys.from_secret(bytes(range(32))), "127.0.0.1"),
        LoopbackNetwork().transport(bytes(32)),
    ]
    for transport in transports:
        transport.close()
        transport.close()
