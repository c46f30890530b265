"""The page at a run's end: whatever keeps it from being written costs only the page."""

from pathlib import Path

import pytest

import peerage.report
from peerage.cli.run import _report


class Screen:
    def __init__(self) -> None:
        self.said: list[str] = []

    def say(self, sentence: str) -> None:
        self.said.append(sentence)


@pytest.mark.parametrize("error", [OSError("no space"), KeyError("x"), RecursionError(), ZeroDivisionError()])
def test_a_run_survives_its_page(error: Exception, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(_root: Path) -> Path:
        raise error

    monkeypatch.setattr(peerage.report, "write_report", fails)
    screen = Screen()
    _report(tmp_path, screen)
    assert len(screen.said) == 1
    assert f"peerage report {tmp_path}" in screen.said[0]
