"""The events of a run: all at once where they fit into memory, else cut by host.

Whoever holds them - this process, files that were spilled (`spill`), a cluster's workers - gives them as `Parts`; what
is done with them is the same for all (`hunting`, `pipeline`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol, TypeVar

from hunt.events import Events
from hunt.model import Need, Problem, Tally

if TYPE_CHECKING:  # which itself works on parts
    from hunt.coverage.seen import Seen

T = TypeVar("T")


class Parts(Protocol):
    """All events, cut by host: together they are everything, and no host is in two of them."""

    @property
    def undivided(self) -> bool:
        """Whether one part holds all hosts: what looks across hosts can run with the rest."""

    def each(self, work: Callable[[Events], T]) -> Iterator[T]:
        """What `work` gives for every part, in a fixed order; here or elsewhere: both can be pickled (cloudpickle)."""

    def whole(self, needs: Iterable[Need]) -> Events:
        """All hosts, with these columns at least. Raises TooLargeError if memory has no room for them."""

    def of_hosts(self, keys: Iterable[str], needs: Iterable[Need]) -> Iterator[Events]:
        """The parts that hold some of these hosts (`shares.host_key`), here, with these columns at least.

        The first of them is the one that stands for hosts that nobody knows. Raises TooLargeError.
        """


@dataclass(frozen=True, slots=True)
class Gathered:
    """What reading gave. `events`: what all events have in common; its frames may be empty."""

    tallies: tuple[Tally, ...]
    problems: list[Problem]
    events: Events  # census(), hosts()
    seen: Seen
    parts: Parts


@dataclass(frozen=True, slots=True)
class Together:
    """All in memory, as one part."""

    events: Events
    undivided: bool = True

    def each(self, work: Callable[[Events], T]) -> Iterator[T]:
        yield work(self.events)

    def whole(self, needs: Iterable[Need]) -> Events:
        return self.events

    def of_hosts(self, keys: Iterable[str], needs: Iterable[Need]) -> Iterator[Events]:
        yield self.events
