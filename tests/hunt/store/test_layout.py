"""Where files lie: names that are harmless on every system, and differ."""

from __future__ import annotations

import pytest

from hunt.model import EventType
from hunt.store import layout

LOT = "0123456789abcdef"


@pytest.mark.parametrize(
    ("channel", "name"),
    [
        ("Security", "security"),
        ("Microsoft-Windows-Sysmon/Operational", "microsoft-windows-sysmon%2foperational"),
        ("A b%2F", "a%20b%252f"),
        ("..", ".%2e"),
        ("con.", "con%2e"),
        ("", "%"),
        ("Ä\0", "%c3%a4%00"),
        ("\ud800", "%ed%a0%80"),
        ("*", "%2a"),
    ],
)
def test_channels_become_names_that_are_harmless_everywhere(channel: str, name: str) -> None:
    assert layout.encoded(channel) == name


def test_long_channels_have_short_names_that_differ() -> None:
    names = {layout.encoded("x" * 3000 + end) for end in ("", "a", "/b", "B", "b")}
    assert len(names) == 4
    assert max(map(len, names)) < 140
    assert all(layout.is_data_path(layout.data_path(EventType("x" * 9000, 2**32 - 1), 15, LOT, 999_999)) for _ in names)
