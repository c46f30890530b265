"""Checks of schedules: turns, scales from the record, rounds that wait for all, and what people are told of them."""

from __future__ import annotations

from planted.fault import Fault, without

JOINING, FRESHNESS = "node/peerage/rounds/joining.py", "node/peerage/rounds/freshness.py"
CAUTION, JUDGEMENT = "node/peerage/privacy/caution.py", "ledger/peerage_ledger/judgement.py"
SCALES, SUMMARY, TURNS = (
    "node/peerage/audit/scales.py",
    "node/peerage/launch/summary.py",
    "node/peerage/launch/turns.py",
)
BUDGET, TRACE = (f"node/peerage/scheduling/{name}.py" for name in ("budget", "trace"))
SCHEDULE = "node/peerage/schedule.py"

AT_RECORD = ("tests/node/test_schedule_record.py",)
AT_PROFILES = ("tests/node/test_schedule_profiles.py",)
AT_TURNS = ("tests/node/test_schedule_turns.py",)
TURN_OVER = "due = due and s.federation.scale(s.me, s.target + 1) is not None"

FAULTS = (
    Fault("who rests trains nothing", FRESHNESS, TURN_OVER, "due = due and s.target is not None", AT_TURNS),
    without("no round with a peer out of turn", JUDGEMENT, "if early:", AT_TURNS),
    Fault(
        "an interval ends in a sum that I am in",
        JOINING,
        "for j in s.history if s.me in j.proven.u3]",
        "for j in s.history]",
        AT_RECORD,
    ),
    without("nobody opens a round without all", CAUTION, "if len(members) < self.whole:", AT_RECORD),
    Fault("no round without all", JUDGEMENT, "if federation.whole and len", "if False and len", AT_RECORD),
    without("a declared scale that is due", SCALES, "if said != str(due):", AT_RECORD),
    without("FedAU's scale by the record", SCALES, "if fedau is not None:", AT_RECORD),
    Fault(
        "who rests is not missing",
        SUMMARY,
        "if one.round in rests.get(one.address, ()))",
        "if one.address in rests)",
        AT_PROFILES,
    ),
    without("made-up energy says so", TURNS, "if is_synthetic(entry.profile):", AT_PROFILES),
    Fault("peers enough in each round of a plan", BUDGET, "order[:least]", "order[:0]", AT_PROFILES),
    Fault("a trace that has no gap", TRACE, "if after - before != step:", "if False:", AT_PROFILES),
    without("a trace of power that arrives", TRACE, "if not watts.is_finite() or watts < 0:", AT_PROFILES),
    without("a trace within the source's power", TRACE, "if watts > max_watts:", AT_PROFILES),
    without("a plan that takes seconds", SCHEDULE, "if planned > MOST_PLANNED:", AT_PROFILES),
    without("no one gone for good where all are waited for", SCHEDULE, "if gone:", AT_PROFILES),
)
