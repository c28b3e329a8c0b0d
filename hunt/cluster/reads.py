"""What lots gave, wherever it is held."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from hunt.cluster.tasks import Read
from hunt.shares import Share


@dataclass(frozen=True, slots=True)
class Lots:
    """What was read, in reading order: futures of Read, or Reads of our own; and bytes of each of their hosts.

    `again` reads one of them here.
    """

    reads: list[Any]
    hosts: Sequence[Mapping[str, int]]
    kinds: Mapping[tuple[str, int], int]  # bytes of each type of events
    records: Sequence[int]  # that each gave when it was read
    machines: Sequence[frozenset[str] | None]  # that can read them; None: any
    how: Any  # a future of what all reads need
    again: Callable[[int], Read]

    def of(self, share: Share) -> list[int]:
        """The places of those that have events of some hosts."""
        return [place for place, hosts in enumerate(self.hosts) if share.meets(hosts)]

    def lost(self, machines: Iterable[str]) -> set[int]:
        """The places of those of which what was read is gone, and that none of these machines can read again."""
        there = frozenset(machines)
        return {
            place
            for place, read in enumerate(self.reads)
            if not isinstance(read, Read) and beyond(read, self.how, self.machines[place], there)
        }


def beyond(read: Any, how: Any, machines: frozenset[str] | None, there: frozenset[str]) -> bool:
    """Whether a lot is not read, and never will be: nobody is there who could, or Dask has given up what it takes.

    What needs a task that has failed fails with it, but for what was done before and is lost: that waits for ever.
    """
    nobody = machines is not None and machines.isdisjoint(there)
    return read.status != "finished" and (nobody or "error" in (read.status, how.status))
