import pytest

from peerage_crypto.errors import ChainError, InputError, OurError, PeerageError, PeerError, Unreachable


@pytest.mark.parametrize(
    ("error", "exit_code"),
    [
        (InputError("no such file"), 2),
        (PeerError(bytes(20), "sent garbage"), 1),
        (ChainError("refused the record"), 1),
        (Unreachable("the node does not answer"), 3),
        (OurError("a round closed twice"), 1),
    ],
)
def test_every_named_failure_leaves_with_the_exit_code_of_whose_fault_it_is(error, exit_code):
    assert isinstance(error, PeerageError)
    assert error.exit_code == exit_code


def test_a_peer_error_names_the_peer_and_what_it_did():
    error = PeerError(b"\xab" * 20, "sent a NaN")

    assert str(error) == f"peer 0x{'ab' * 20}: sent a NaN"
    assert (error.address, error.sentence) == (b"\xab" * 20, "sent a NaN")
