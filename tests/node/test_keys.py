import stat
from pathlib import Path

import pytest

from peerage import keys
from peerage_crypto.errors import InputError

FAST = 1 << 10


def test_keys_open_with_their_password_and_no_other(tmp_path: Path) -> None:
    made = keys.create_keys(tmp_path / "s", "a", "right", scrypt_n=FAST)
    again = keys.load_keys(tmp_path / "s", "a", "right")
    assert again.account.address == made.account.address
    assert again.curve == made.curve
    with pytest.raises(InputError, match=r"a\.json"):
        keys.load_keys(tmp_path / "s", "a", "wrong")


def test_secrets_are_for_their_owner_only(tmp_path: Path) -> None:
    keys.create_with_random_password(tmp_path / "s", "a")
    assert stat.S_IMODE((tmp_path / "s").stat().st_mode) == 0o700
    files = list((tmp_path / "s").iterdir())
    assert {path.name for path in files} == {"a.json", "a.curve.json", "a.password"}
    assert {stat.S_IMODE(path.stat().st_mode) for path in files} == {0o600}


def test_existing_keys_are_never_written_over(tmp_path: Path) -> None:
    keys.create_keys(tmp_path, "a", "p", scrypt_n=FAST)
    before = (tmp_path / "a.json").read_bytes()
    with pytest.raises(InputError, match="exists already"):
        keys.create_keys(tmp_path, "a", "p", scrypt_n=FAST)
    assert (tmp_path / "a.json").read_bytes() == before


def test_rotating_changes_the_transport_key_alone(tmp_path: Path) -> None:
    old = keys.create_keys(tmp_path, "a", "p", scrypt_n=FAST)
    with pytest.raises(InputError):
        keys.rotate_curve(tmp_path, "a", "wrong", scrypt_n=FAST)
    keys.rotate_curve(tmp_path, "a", "p", scrypt_n=FAST)
    now = keys.load_keys(tmp_path, "a", "p")
    assert now.account.address == old.account.address
    assert now.curve.public != old.curve.public


def test_half_made_keys_are_made_anew_until_the_run_has_begun(tmp_path: Path) -> None:
    whole = keys.keys_of_run(tmp_path, "a", begun=False)
    assert keys.keys_of_run(tmp_path, "a", begun=False).account.address == whole.account.address
    assert keys.keys_of_run(tmp_path, "a", begun=True).account.address == whole.account.address
    (tmp_path / "a.password").unlink()
    again = keys.keys_of_run(tmp_path, "a", begun=False)
    assert again.account.address != whole.account.address
    (tmp_path / "a.password").unlink()
    with pytest.raises(InputError, match=r"a\.password"):
        keys.keys_of_run(tmp_path, "a", begun=True)
    assert (tmp_path / "a.json").exists()


def test_two_peers_share_nothing(tmp_path: Path) -> None:
    a, b = (keys.create_with_random_password(tmp_path, name) for name in "ab")
    assert a.account.secret != b.account.secret
    assert a.curve.secret != b.curve.secret
    assert (tmp_path / "a.password").read_text() != (tmp_path / "b.password").read_text()


def test_secrets_come_from_the_operating_system(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    drawn = iter(range(1, 9))
    monkeypatch.setattr("peerage.keys.os.urandom", lambda count: bytes([next(drawn)]) * count)
    made = keys.create_keys(tmp_path, "a", "p", scrypt_n=FAST)
    assert made.account.secret == b"\x01" * 32


@pytest.mark.parametrize("content", ["", "[]", "not json", '{"version": 3}'])
def test_a_file_that_is_no_keystore_is_said_so(tmp_path: Path, content: str) -> None:
    keys.create_keys(tmp_path, "a", "p", scrypt_n=FAST)
    (tmp_path / "a.json").write_text(content)
    with pytest.raises(InputError, match=r"a\.json"):
        keys.load_keys(tmp_path, "a", "p")


def test_the_password_comes_from_file_or_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "p").write_text("from file\n")
    assert keys.read_password(tmp_path / "p") == "from file"
    monkeypatch.setenv("PEERAGE_PASSWORD", "from environment")
    assert keys.read_password(None) == "from environment"
    monkeypatch.delenv("PEERAGE_PASSWORD")
    with pytest.raises(InputError, match="PEERAGE_PASSWORD"):
        keys.read_password(None)
    with pytest.raises(InputError, match="cannot be read"):
        keys.read_password(tmp_path / "missing")
