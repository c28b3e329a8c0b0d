"""Both ways to decode: by the compiled kernels, where they were built, and by numpy alone."""

from __future__ import annotations

import pytest

from hunt import native


@pytest.fixture(params=["kernels", "numpy"])
def either_way(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """For modules whose tests are to hold for both."""
    if request.param == "numpy":
        monkeypatch.setattr(native, "kernels", None)
    elif not native.kernels:
        pytest.skip("the kernels are not built here: see setup.py")
