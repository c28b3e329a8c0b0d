"""Where real evidence lies, if it does."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

from tests.helpers import ROOT

# Machines differ: no test fails for being slow, and the same examples run everywhere.
settings.register_profile("default", deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("default")


@pytest.fixture(scope="session")
def real_evidence() -> Path:
    """The folder of real logs beside the checkout; its README says what they are."""
    folder = ROOT.parent / "shared" / "evidence"
    if not folder.is_dir():
        pytest.skip(f"no real evidence here: {folder} is absent")
    return folder


@pytest.fixture(scope="session")
def samples() -> Path:
    """The folder of sample logs."""
    return ROOT / "samples"
