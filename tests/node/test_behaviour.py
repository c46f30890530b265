"""A cast part that lies, is slow or frozen: chosen by whoever starts the peer, part of no rule, and said out loud."""

from __future__ import annotations

import threading
import time
from pathlib import Path

import pytest
from msgspec.structs import replace

from peerage.behaviour import is_lie, load_lie, slowed
from peerage.config import Federation, Part
from peerage.config_checks import check_federation
from peerage.config_toml import federation_hash, parse_federation, to_toml
from peerage.launch.agree import agreed
from peerage.launch.cast import Act, Cast, announced, played
from peerage.status import Status
from peerage_crypto.errors import InputError

LIARS = Path(__file__).parents[2] / "examples" / "liars.py"


def cast(**part: object) -> Federation:
    return Federation(peers=3, rounds=5, cast=(Part(peer="peer-02", **part),))


def running(**rounds: int) -> dict[str, Status]:
    return {
        name.replace("_", "-"): Status(peer=name.replace("_", "-"), state="running", round=round_)
        for name, round_ in rounds.items()
    }


def test_a_lie_is_named_by_module_or_file_and_our_own_words_are_none() -> None:
    assert is_lie(f"{LIARS}:garbage")
    assert is_lie("package.module:function")
    assert not any(is_lie(word) for word in ("honest", "nan", "parent-back"))
    assert callable(load_lie(f"{LIARS}:garbage"))
    with pytest.raises(InputError, match="has no function"):
        load_lie(f"{LIARS}:truth")


def test_a_part_is_no_rule_and_survives_its_file() -> None:
    liar = cast(behaviour=f"{LIARS}:garbage", slow=10, freeze_in_round=2)

    assert federation_hash(liar) == federation_hash(replace(liar, cast=()))
    assert parse_federation(to_toml(liar), where="again") == liar


@pytest.mark.parametrize("word", ["liar", "file.py", "file.py:", ":function", "a:b:c", "file.py:not a name"])
def test_a_behaviour_that_is_none_is_answered_with_what_there_is(word: str) -> None:
    with pytest.raises(InputError, match="takes honest, parent-back"):
        parse_federation(f'[[cast]]\npeer = "peer-02"\nbehaviour = "{word}"\n', where="f.toml")


def test_a_file_that_is_not_there_is_told_before_anything_starts() -> None:
    with pytest.raises(InputError, match=r"there is no file nowhere\.py"):
        agreed(cast(behaviour="nowhere.py:lie"))


def test_a_file_keeps_its_place_when_a_run_is_resumed_from_elsewhere(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(LIARS.parent)

    assert agreed(cast(behaviour="liars.py:garbage")).cast[0].behaviour == f"{LIARS}:garbage"


@pytest.mark.parametrize(
    ("part", "words"),
    [({"freeze_in_round": 6}, "in round 6 of 5"), ({"freeze_in_round": 2, "kill_in_round": 3}, "killed or frozen")],
    ids=["too late", "both"],
)
def test_a_part_that_cannot_be_played_is_refused(part: dict[str, int], words: str) -> None:
    with pytest.raises(InputError, match=words):
        check_federation(cast(**part))


def test_a_peer_is_frozen_once_in_its_round_and_thaws_after_its_time() -> None:
    on = Cast(cast(freeze_in_round=2, freeze_seconds=5).cast)

    assert on.due(running(peer_02=1), 100.0) == []
    assert on.due(running(peer_02=2), 100.0) == [(Act.FREEZE, "peer-02")]
    frozen = on.done(Act.FREEZE, "peer-02", 100.0)
    assert frozen.due(running(peer_02=2, peer_01=4), 104.9) == []
    assert frozen.due(running(peer_02=2), 105.0) == [(Act.THAW, "peer-02")]
    thawed = frozen.done(Act.THAW, "peer-02", 105.0)
    assert thawed.due(running(peer_02=3), 200.0) == []
    assert played(on.parts).due(running(peer_02=3), 0.0) == []  # a resumed run freezes nobody again


def test_parts_are_told_in_words() -> None:
    assert announced(cast(behaviour="a.py:b", slow=3)) == {"peer-02": "plays a.py:b, 3 times slower"}
    assert announced(cast(behaviour="nan")) == {"peer-02": "nan"}
    assert announced(cast()) == {}


def test_slow_work_takes_as_many_times_longer_and_gives_the_same() -> None:
    results: list[tuple[str, float]] = []
    start = time.monotonic()
    late = slowed(lambda result: results.append((result, time.monotonic() - start)), 4)

    def work() -> None:
        while time.thread_time() < 0.1:
            pass
        late("done")

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    ((result, seconds),) = results
    assert result == "done"
    assert seconds >= 0.4  # a tenth of a second's work, four times

    def now(_: str) -> None: ...

    assert slowed(now, 1) is now
