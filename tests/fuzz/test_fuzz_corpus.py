"""Every kept input again, without the engine: what once went wrong stays right, and nothing takes more than it may."""

from __future__ import annotations

import pytest

from fuzz import corpus
from fuzz.everything import TARGETS
from fuzz.target import LONGEST_INPUT, Target, TooMuchMemory, measure


@pytest.mark.parametrize("name", sorted(TARGETS))
def test_kept_inputs_end_as_documented_within_their_memory(name):
    target = TARGETS[name]
    for data in (b"", *target.seeds(), *(kept.input() for kept in corpus.load(name))):
        measure(target, data)


def test_the_corpus_is_small_whole_and_belongs_to_targets():
    files = sorted(corpus.FOLDER.iterdir())
    assert {path.stem for path in files} <= TARGETS.keys()
    assert all(path.stat().st_size <= corpus.MOST_BYTES for path in files)
    assert sum(path.stat().st_size for path in files) < 1 << 20
    for path in files:
        for kept in corpus.load(path.stem):
            assert kept.name == corpus.name_of(kept.input())
            assert len(kept.input()) <= LONGEST_INPUT


def test_a_target_that_takes_more_than_it_may_is_found():
    greedy = Target("greedy", lambda data: bytearray(1 << 20), (), tuple, 1 << 16)
    with pytest.raises(TooMuchMemory, match="greedy took"):
        measure(greedy, b"")


def test_an_undocumented_exception_is_found():
    def run(data):
        raise KeyError(data)

    with pytest.raises(KeyError):
        measure(Target("wrong", run, (ValueError,), tuple, 1 << 16), b"x")
    measure(Target("right", run, (KeyError,), tuple, 1 << 16), b"x")


def test_what_is_kept_comes_back_and_findings_come_first(tmp_path):
    inputs = [corpus.kept(b"abc"), corpus.kept(b"[" * 9000, why="a bomb"), corpus.kept(b"abc")]
    assert corpus.save("x", inputs, tmp_path) == 2
    assert [(k.input(), k.why) for k in corpus.load("x", tmp_path)] == [(b"[" * 9000, "a bomb"), (b"abc", "")]
