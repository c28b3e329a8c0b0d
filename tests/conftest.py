"""Where real evidence lies, if it does."""

from __future__ import annotations

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
