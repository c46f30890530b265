import io

from peerage.config import Part
from peerage.launch.cast import Act, Cast
from peerage.launch.live import Screen, View, amount, line, percent, size, table
from peerage.status import Status


def view(**more: object) -> View:
    return View(names=("peer-01", "peer-02"), rounds=4, statuses={}, behaviours={"peer-02": "parent-back"}, **more)


def running(peer: str, round_: int, **more: object) -> Status:
    return Status(peer=peer, state="running", round=round_, **more)


def cells(shown: View, now: float = 0.0) -> list[list[str]]:
    grid = table(shown, now)
    columns = [list(column.cells) for column in grid.columns]
    return [[str(column[row]) for column in columns] for row in range(grid.row_count)]


def test_the_table_shows_what_the_statuses_say() -> None:
    status = running(
        "peer-01",
        2,
        phase="mask",
        version=3,
        accuracy=0.9512,
        bytes_sent=2_500_000,
        energy_wh=0.0125,
        earned="1500000000000000000",
    )
    first, second = cells(view().with_status(status, 1.0))
    assert first == ["peer-01", "running", "mask", "2", "3", "95.1 %", "2.5 MB", "0.013", "1.50"]
    assert second[:2] == ["peer-02 (parent-back)", "starting"]


def test_a_killed_peer_is_away_until_it_returns() -> None:
    shown = view().with_status(running("peer-01", 2), 1.0).with_away("peer-01", True)
    assert cells(shown)[0][1] == "away"
    assert cells(shown.with_away("peer-01", False))[0][1] == "running"


def test_the_time_left_is_the_pace_carried_on() -> None:
    shown = view().with_status(running("peer-01", 1), 10.0)
    assert shown.eta_seconds(20.0) is None
    shown = shown.with_status(running("peer-01", 3), 20.0)
    assert shown.eta_seconds(20.0) == 10.0  # two rounds in ten seconds, two to go


def test_a_note_is_shown_once() -> None:
    status = running("peer-01", 1, note="caught up")
    assert view().with_status(status, 1.0).with_status(status, 2.0).notes == ("peer-01: caught up",)


def test_without_a_terminal_each_closed_round_is_one_line() -> None:
    out = io.StringIO()
    with Screen(to_stderr=False, file=out) as screen:
        for round_ in (1, 1, 2, 2, 3):
            screen.show(view().with_status(running("peer-01", round_, accuracy=0.5), 0.0), 1.0)
    lines = out.getvalue().splitlines()
    assert [text.split(",")[0] for text in lines] == ["round 1 of 4 closed", "round 2 of 4 closed"]
    assert "mean accuracy 50.0 %" in lines[0]


def test_figures_for_people() -> None:
    assert [size(n) for n in (0, 999, 1000, 1_234_567)] == ["0 B", "999 B", "1.0 kB", "1.2 MB"]
    assert [amount(n) for n in ("0", "999999999999999999", "1000000000000000000000")] == ["0.00", "0.99", "1000.00"]
    assert percent(None) == ""
    assert "away: peer-02" in line(view().with_status(running("peer-01", 2), 0.0).with_away("peer-02", True), 1.0)


def test_the_cast_kills_in_the_peers_round_and_returns_in_the_others() -> None:
    cast = Cast((Part(peer="b", kill_in_round=4, return_in_round=6),))
    at = lambda a, b: {"a": running("a", a), "b": running("b", b)}  # noqa: E731
    assert cast.due(at(5, 3)) == []
    assert cast.due(at(4, 4)) == [(Act.KILL, "b")]
    cast = cast.done(Act.KILL, "b")
    assert cast.away("b")
    assert cast.awaits("b")
    assert cast.due(at(5, 4)) == []
    assert cast.due(at(6, 4)) == [(Act.RETURN, "b")]
    cast = cast.done(Act.RETURN, "b")
    assert not cast.away("b")
    assert cast.due(at(9, 9)) == []


def test_who_rests_by_its_schedule_says_so_and_made_up_energy_is_marked() -> None:
    shown = view(rests={"peer-02": frozenset({2})}, synthetic=frozenset({"peer-02"}))
    shown = shown.with_status(running("peer-01", 2, phase="mask"), 1.0).with_status(running("peer-02", 2), 1.0)
    first, second = cells(shown)
    assert (first[0], first[2]) == ("peer-01", "mask")
    assert (second[0], second[2]) == ("peer-02 (parent-back) (synthetic energy)", "rest")
    later = shown.with_status(running("peer-01", 3, phase="mask"), 2.0)
    assert cells(later)[1][2] == ""
    assert ", resting: peer-02" in line(later, 2.0)  # in the round that has closed
    assert "resting" not in line(later.with_status(running("peer-01", 4), 3.0), 3.0)
