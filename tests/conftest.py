"""Where real evidence lies, if it does."""

from __future__ import annotations

import os

# Tests run on all processors: Polars' own threads would fight with them over thousands of small frames, which costs a
# sixth of all time. That threads change nothing has a test of its own (tests/hunt/test_threads.py).
if "PYTEST_XDIST_WORKER" in os.environ:
    os.environ.setdefault("POLARS_MAX_THREADS", "1")  # read once, when Polars is imported

from pathlib import Path
from typing import cast

import pytest
from hypothesis import HealthCheck, settings

from hunt.model import Parser
from parsers.evtx import PARSER
from parsers.evtx_reference import REFERENCE
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


@pytest.fixture(scope="session", params=[PARSER, REFERENCE], ids=lambda parser: parser.name)
def parser(request: pytest.FixtureRequest) -> Parser:
    """Each parser of EVTX."""
    return cast(Parser, request.param)
