"""docs/privacy.md says what the code does: its settings are legal, its keys exist, its links and tests too."""

import re
import tomllib
from pathlib import Path

import pytest

from peerage.config_toml import federation_of
from peerage.privacy.meter import PeerMeter
from peerage.privacy.noise import check_privacy, noise_of

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "privacy.md").read_text()
SETTINGS = [tomllib.loads(block) for block in re.findall(r"```toml\n(.*?)```", PAGE, re.DOTALL)]


@pytest.mark.parametrize("tables", SETTINGS, ids=" ".join)
def test_settings_that_the_page_shows_are_legal(tables):
    federation = federation_of({"peers": 12, **tables}, where="docs/privacy.md")
    check_privacy(federation)
    if federation.privacy.noise:
        assert noise_of(federation, 4810).honest == 4
    function = federation.training.function.partition(":")[0]
    assert (ROOT / function).exists()


def test_every_key_of_the_meter_is_explained_and_no_other():
    rows = re.findall(r"^\| (`[^|]+) \|", PAGE, re.MULTILINE)
    told = {key for row in rows for key in re.findall(r"`(\w+)`", row)}
    assert told == set(PeerMeter.__struct_fields__)


def test_what_the_page_points_to_exists():
    for target in re.findall(r"\]\(([\w./-]+)\)", PAGE):
        assert (ROOT / "docs" / target).resolve().exists(), target
    for name in re.findall(r"`(tests/[\w/.]+)`", PAGE):
        assert (ROOT / name).exists(), name


def test_every_setting_of_the_privacy_table_is_on_the_page():
    for tables in SETTINGS:
        assert set(tables.get("privacy", {})) <= {"noise", "delta", "least_roster_change"}
    for name in ("noise", "delta", "least_roster_change"):
        assert f"{name} =" in PAGE
