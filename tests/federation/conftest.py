"""`launched` (how these tests start and watch real federations) is imported by its name."""

import sys
from pathlib import Path

import pytest

from peerage_ledger.devnets.engines import Engine

sys.path.insert(0, str(Path(__file__).parent))


@pytest.fixture(params=[engine.value for engine in Engine])
def engine(request: pytest.FixtureRequest) -> str:
    """Each engine in turn."""
    return request.param
