"""Rules of tests."""

from __future__ import annotations

import pytest

from tests.hunt.rules import fake


@pytest.fixture(autouse=True)
def _fake_format(monkeypatch: pytest.MonkeyPatch) -> None:
    fake.register(monkeypatch)
