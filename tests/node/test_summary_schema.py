"""A summary of another version is named in one sentence, by report and by whoever asks."""

import json
from pathlib import Path

import pytest

from peerage.launch.summary import SUMMARY_SCHEMA, other_version
from peerage.report import page, read_run


def test_ours_needs_no_sentence() -> None:
    assert other_version(b'{"schema":%d}' % SUMMARY_SCHEMA) == ""


def test_an_older_one_says_what_it_lacks() -> None:
    said = other_version(b'{"schema":1,"name":"old"}')
    assert said.startswith("summary.json has schema 1, and lacks accounts, ")
    assert "overhead" in said
    assert "name," not in said
    assert said.endswith(f"this version writes schema {SUMMARY_SCHEMA}")


@pytest.mark.parametrize("raw", [b"", b"[]", b"{}", b'{"schema":"x"}', b"[" * 5000, b"\xff"])
def test_rubbish_is_of_no_version(raw: bytes) -> None:
    assert other_version(raw) == ""


def test_the_report_of_an_older_run_says_so(tmp_path: Path) -> None:
    (tmp_path / "summary.json").write_text(json.dumps({"schema": 1, "name": "old"}))
    told = read_run(tmp_path)
    assert told.summary is None
    assert any(gap.startswith("summary.json has schema 1") for gap in told.gaps)
    assert "summary.json has schema 1" in page(told)
