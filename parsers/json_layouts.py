"""What tools write as JSON, as rows of text: the columns of `hunt.schema`, as `event_xml` has them.

Three layouts: the XML's elements as objects (`json_elements`), winlogbeat's (`json_beats`), flat ones (`json_flat`).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import timedelta

from hunt.model import ALL_COLUMNS

from .event_xml import Row

Json = Mapping[str, object]


@dataclass(frozen=True, slots=True)
class Layout:
    """One way to write an event. `head` and `rest` together make its row, the rest overriding."""

    name: str
    signs: tuple[tuple[bytes, ...], ...]  # what of its JSON tells it in the head of a file: all of one of these
    event: Callable[[Json], Json | None]  # what holds the event, in a wrapper or not; None: another layout
    head: Callable[[Json], Row]  # what the census counts by: provider, channel, event_id, host, record_id, logged
    rest: Callable[[Json, frozenset[str]], Row]  # all other columns, or of them those wanted
    local: Callable[[Json], str | None] = lambda event: None  # its time, if that is local and `head` has none
    ahead: Callable[[Json], timedelta | None] = lambda event: None  # what its local times are ahead of UTC, if it tells


def is_wanted(column: str, wanted: frozenset[str]) -> bool:
    """Whether a column is asked for, or times an event."""
    return wanted == ALL_COLUMNS or column in wanted or column == "UtcTime"


def objects(value: object) -> Json:
    """An object, or an empty one."""
    return value if isinstance(value, dict) else {}
