"""Rounds with private validation, judged from their artefacts and audited again: what falls, and who is named."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest

from peerage.rounds.merging import Merging
from peerage.rounds.optimisers import Optimiser
from peerage_crypto.digest import sha256
from peerage_crypto.statements import sign
from peerage_ledger.audit.findings import Check, Notebook
from peerage_ledger.audit.numbers import check_numbers
from peerage_ledger.audit.rounds import Rounds
from peerage_ledger.audit.terms import CaseFile, Terms
from peerage_ledger.judgement import Evidence, Judged, judge_round
from peerage_ledger.transcript import NOTHING, decode_round, encode, record_of

change = msgspec.structs.replace
NODE_TESTS = Path(__file__).parents[1] / "node"


def simulator() -> Any:
    if "simulator" not in sys.modules:
        sys.path.insert(0, str(NODE_TESTS))
        spec = importlib.util.spec_from_file_location("simulator", NODE_TESTS / "simulator.py")
        assert spec is not None
        assert spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        sys.modules["simulator"] = module
        spec.loader.exec_module(module)
    return sys.modules["simulator"]


class Run:
    """Ten peers and two rounds of private validation, as an auditor finds them."""

    def __init__(self) -> None:
        self.sim = sim = simulator().Simulation(10, seed=3, rounds=2, private=True).start().run()
        self.engine = next(iter(sim.hosts.values())).engine
        self.history: list[Judged] = self.engine.history
        grid = sim.rules.grid
        self.terms = Terms(
            record=sim.genesis.record,
            session=sim.federation.terms,
            initial=sim.genesis.model,
            rounds=2,
            ring=grid.ring,
            frac_bits=grid.frac_bits,
            clip=grid.clip,
            novelty=3,
            cap=2,
            window=12,
            pool=sim.rules.pool,
            crossfit=True,
            audited=True,
        )
        self.merging = Merging(grid, Optimiser())

    # what the auditor computes with floating point: here the simulation's stand-ins
    @property
    def merge(self) -> Any:
        return self.merging.merge

    def direction(self, *_: Any) -> None:
        raise AssertionError("there are no public rows")

    def cross_directions(self, _parent: Any, sums: Any, _seed: bytes, _applied: Any) -> Any:
        return simulator().cross_directions(sums)

    def evidence(self, transcript: Any) -> Evidence:
        blob = encode(transcript)
        session = self.history[0].session
        return Evidence(
            sha256(blob), transcript, transcript.session, session, self.sim.archive[transcript.sum_artefact]
        )

    def judged(self, transcript: Any) -> Judged | list[Any]:
        return judge_round(self.sim.federation, self.sim.genesis, self.evidence(transcript), self.merge)

    def audited(self, judged: Judged, store: dict[bytes, bytes], **case: Any) -> tuple[Any, Notebook]:
        rounds, book = Rounds(self.sim.federation, self.sim.genesis, store), Notebook()
        file = CaseFile(self.terms, None, None, store, {}, (), **case)  # type: ignore[arg-type]
        return check_numbers(file, rounds, self.sim.genesis, judged, case.pop("newest", 1), self, book), book


@pytest.fixture(scope="module")
def run() -> Run:
    return Run()


def codes(book: Notebook) -> set[str]:
    return {finding.code for finding in book.findings}


# -- a transcript ------------------------------------------------------------------------------------------------------


def test_a_round_with_its_path_gradients_stands_and_survives_its_encoding(run: Run) -> None:
    t = run.history[0].transcript
    assert len(t.gradients) == 10
    assert decode_round(encode(t)) == t
    assert isinstance(run.judged(t), Judged)


def test_a_shared_rounds_transcript_says_nothing_of_gradients(run: Run) -> None:
    assert b"gradients" not in encode(change(run.history[0].transcript, gradients=()))


def test_gradients_change_nothing_of_the_record_but_the_transcript_that_it_names(run: Run) -> None:
    judged = run.history[0]
    t = judged.transcript
    one = record_of(t, bytes(32), judged.proven, judged.session)
    other = record_of(change(t, gradients=()), bytes(32), judged.proven, judged.session)
    assert one == other


def test_a_scored_round_without_its_gradients_falls(run: Run) -> None:
    t = run.history[0].transcript
    (fault,) = run.judged(change(t, gradients=()))  # type: ignore[misc]
    assert fault.code == "gradients"
    (fault,) = run.judged(change(t, gradients=t.gradients[:-1]))  # type: ignore[misc]
    assert fault.code == "gradients"


def test_an_unscored_round_may_keep_what_was_known_or_nothing(run: Run) -> None:
    t = run.history[0].transcript
    bare = change(t, direction=NOTHING, exponent=0, openings=(), lates=(), shown=(), numbers=(None,) * 10)
    assert isinstance(run.judged(bare), Judged)
    assert isinstance(run.judged(change(bare, gradients=())), Judged)
    known = run.judged(bare)
    assert isinstance(known, Judged)
    assert known.known_halves == run.history[0].known_halves
    assert sum(len(half) for half in known.known_halves) == 10


def test_a_gradient_under_anothers_name_falls(run: Run) -> None:
    t = run.history[0].transcript
    liar = next(h for h in run.sim.hosts.values() if h.account.address == run.history[0].proven.u3[1])
    forged = change(
        t.gradients[0], signed=sign(t.gradients[0].signed.statement, liar.account, run.sim.federation.domain)
    )
    (fault,) = run.judged(change(t, gradients=(forged, *t.gradients[1:])))  # type: ignore[misc]
    assert "not signed by its survivor" in fault.sentence


# -- the audit ---------------------------------------------------------------------------------------------------------


def test_an_honest_round_is_clean_bit_for_bit(run: Run) -> None:
    check, book = run.audited(run.history[0], run.sim.archive)
    assert (check.sum, check.direction, check.numbers) == (Check.PASSED, Check.PASSED, Check.PASSED)
    assert not book.findings


def _scored_along(run: Run, g: np.ndarray) -> tuple[Judged, dict[bytes, bytes]]:
    """Everybody colludes on another direction: the record names it."""
    from dataclasses import replace

    judged, blob = run.history[0], g.astype("<i4").tobytes()
    transcript = change(judged.transcript, direction=sha256(blob))
    return replace(judged, transcript=transcript), {**run.sim.archive, sha256(blob): blob}


def test_a_direction_that_the_gradients_do_not_give_is_found(run: Run) -> None:
    t = run.history[0].transcript
    g = np.frombuffer(run.sim.archive[t.direction], "<i4").reshape(2, -1).copy()
    g[1, 4] += 1
    check, book = run.audited(*_scored_along(run, g))
    assert check.direction is Check.FAILED
    assert "direction" in codes(book)
    assert "number" in codes(book), "the numbers are not along it either"


def test_a_direction_of_another_length_is_found(run: Run) -> None:
    check, book = run.audited(*_scored_along(run, np.ones(24, np.int32)))
    assert check.direction is Check.FAILED
    assert codes(book) == {"direction-missing"}


def test_gradients_that_are_due_and_gone_are_missing_and_pruned_ones_are_pruned(run: Run) -> None:
    judged = run.history[0]
    gone = judged.transcript.gradients[3].artefact
    store = {a: b for a, b in run.sim.archive.items() if a != gone}
    check, book = run.audited(judged, store)
    assert check.direction is Check.PRUNED
    assert codes(book) == {"vector-missing"}
    check, book = run.audited(judged, store, pruned=frozenset({gone}))
    assert check.direction is Check.PRUNED
    assert not book.findings
    assert "masked path gradients are pruned, what follows from them is not checked" in str(book.notes)


def test_a_vector_of_another_length_than_was_signed_names_its_owner(run: Run) -> None:
    from dataclasses import replace

    judged = run.history[0]
    short = b"x" * 20
    shown = change(judged.transcript.gradients[2], artefact=sha256(short))
    gradients = (*judged.transcript.gradients[:2], shown, *judged.transcript.gradients[3:])
    forged = replace(judged, transcript=change(judged.transcript, gradients=gradients))
    check, book = run.audited(forged, {**run.sim.archive, sha256(short): short})
    assert check.direction is Check.FAILED
    assert codes(book) == {"gradient-length"}


def test_a_scored_round_whose_half_is_too_long_is_a_finding(run: Run) -> None:
    from dataclasses import replace

    judged = run.history[0]
    noise = np.random.default_rng(0).integers(0, 2**32, 24, np.uint32).tobytes()
    shown = change(judged.transcript.gradients[2], artefact=sha256(noise))
    gradients = (*judged.transcript.gradients[:2], shown, *judged.transcript.gradients[3:])
    forged = replace(judged, transcript=change(judged.transcript, gradients=gradients))
    check, book = run.audited(forged, {**run.sim.archive, sha256(noise): noise})
    assert check.direction is Check.FAILED
    assert codes(book) == {"direction"}
