"""What keeps the merge's optimiser the same for everybody: its state, its path, its refusals."""

from __future__ import annotations

from planted.fault import Fault, without

OPTIMISERS, CHECKS = "node/peerage/rounds/optimisers.py", "node/peerage/optimising.py"
JUDGEMENT, ROUNDS = "ledger/peerage_ledger/judgement.py", "ledger/peerage_ledger/audit/rounds.py"
RESULTS = "node/peerage/rounds/results.py"
AT_ARITHMETIC, AT_ROUNDS = ("tests/node/test_optimisers.py",), ("tests/node/test_optimiser_rounds.py",)

FAULTS = (
    Fault("a state that goes on", JUDGEMENT, "        state=state,\n", "", AT_ROUNDS),
    Fault(
        "the state that a merge starts from",
        "node/peerage/rounds/merging.py",
        "parent.state, mean",
        "parent.state[:0], mean",
        AT_ROUNDS + AT_ARITHMETIC,
    ),
    Fault(
        "what a round's mean told everybody", JUDGEMENT, "(self.step, *self.state[-1:])", "(self.step,)", AT_ARITHMETIC
    ),
    Fault("a state that is read again", ROUNDS, "if known is None and self.merge is not None:", "if False:", AT_ROUNDS),
    Fault("an audit that knows of states", ROUNDS, "maths.merge if maths.remembers else None", "None", AT_ROUNDS),
    Fault("where momentum trains from", OPTIMISERS, ' if self.kind == "nesterov" else model', "", AT_ARITHMETIC),
    Fault("the slope of a scored round", "node/peerage/rounds/results.py", ", slope=slope, kept", ", kept", AT_ROUNDS),
    Fault(
        "the slope of a learner's direction",
        "node/peerage/learning/learner.py",
        "task.step, validation), task.slope)",
        "task.step, validation), None)",
        AT_ROUNDS,
    ),
    Fault(
        "the slope of a path gradient",
        "node/peerage/learning/learner.py",
        "only(steepened(gbar, task.slope), task.kept)",
        "only(gbar, task.kept)",
        AT_ROUNDS,
    ),
    Fault(
        "the start of the scored path",
        "node/peerage/rounds/results.py",
        "optimiser.path_start(s.head.model, s.head.step, s.head.state)",
        "optimiser.training_start(s.head.model, s.head.step)",
        AT_ROUNDS,
    ),
    Fault(
        "work that is taken off once",
        "node/peerage/rounds/standing.py",
        "(taken and judged.standing.versions.get(s.me, 0) >= s.own.number > 0)",
        "judged.standing.versions.get(s.me, 0) >= s.own.number > 0",
        ("tests/node/test_behind.py",),
    ),
    Fault("variates go on", "node/peerage/rounds/round.py", "usual=saved.usual", "usual=None", AT_ROUNDS),
    Fault(
        "variates on the disk",
        "node/peerage/private_state.py",
        'b"" if state.usual is None else state.usual.astype("<f4", copy=False).tobytes()',
        'b""',
        ("tests/node/test_optimisers.py",),
    ),
    Fault("variates of what was merged", RESULTS, "    if consumed:\n        s.learn_how_i_move()\n", "", AT_ROUNDS),
    Fault("the share of the peers that were there", OPTIMISERS, "share * mean)", "mean)", AT_ARITHMETIC),
    Fault("how a peer differs from all", OPTIMISERS, "everybody - usual", "everybody + usual", AT_ARITHMETIC),
    Fault(
        "a correction in equal parts",
        "node/peerage/learning/trainer.py",
        "return max(1, whole + (rest > 1 or rest == 1 == settings.batch_size))",
        "return whole + 1",
        AT_ARITHMETIC,
    ),
    Fault("SCAFFOLD and its mean", CHECKS, "        if there:\n", "        if False:\n", AT_ARITHMETIC),
    Fault(
        "shares that add up",
        OPTIMISERS,
        "self._move(known, told) - self._move(known, nothing)",
        "self._move(known, told)",
        AT_ARITHMETIC,
    ),
    Fault(
        "the mean that the state keeps",
        OPTIMISERS,
        "told.astype(np.float64)\n        after = ",
        "mean\n        after = ",
        AT_ARITHMETIC,
    ),
    Fault("Yogi's sign", OPTIMISERS, "np.sign(known - square)", "np.sign(square - known)", AT_ARITHMETIC),
    Fault(
        "FedProx holds back",
        "node/peerage/learning/trainer.py",
        "settings.learning_rate * settings.proximal)",
        "0.0)",
        AT_ARITHMETIC,
    ),
    without(
        "proximal without the built-in training", CHECKS, "if training.proximal and training.function:", AT_ARITHMETIC
    ),
    without("proximal beyond the start", CHECKS, "if training.proximal * training.learning_rate >= 1:", AT_ARITHMETIC),
    Fault(
        "one model for an optimiser", CHECKS, 'if federation.exchange == "plain" and (', "if False and (", AT_ARITHMETIC
    ),
    Fault("fedavg has no momentum", CHECKS, 'if merge.optimiser == "fedavg" and ', "if False and ", AT_ARITHMETIC),
    without("numbers that nothing reads", CHECKS, "if unused and merge.optimiser not in ADAPTIVE:", AT_ARITHMETIC),
)
