"""What was read, and can be read again."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from hunt.cluster.reads import Lots, beyond
from hunt.cluster.tasks import Facts, Read
from hunt.shares import Share

HERE, AWAY = frozenset({"here"}), frozenset({"away"})


def future(status: str) -> Any:
    return SimpleNamespace(status=status)


@pytest.mark.parametrize(
    ("read", "how", "machines", "expected"),
    [("finished", "error", AWAY, False),  # it is there, whatever becomes of others
     ("pending", "finished", HERE, False), ("pending", "finished", None, False), ("lost", "finished", HERE, False),
     ("pending", "finished", AWAY, True), ("error", "finished", HERE, True), ("pending", "error", HERE, True)],
)  # fmt: skip
def test_a_lot_is_beyond_reading_where_nobody_can_or_dask_has_given_up(
    read: str, how: str, machines: frozenset[str] | None, expected: bool
) -> None:
    assert beyond(future(read), future(how), machines, HERE) is expected


def test_lots_that_were_read_here_are_never_lost_and_others_are_found_by_their_hosts() -> None:
    reads = [Read(Facts()), future("finished"), future("pending"), future("pending")]
    hosts = [{"a": 1}, {"a": 1, "b": 1}, {"b": 1}, {"c": 1}]
    lots = Lots(reads, hosts, {}, [0, 1, 1, 1], [frozenset(), AWAY, AWAY, HERE], future("finished"), pytest.fail)
    assert lots.lost(["here"]) == {2}
    assert lots.of(Share(frozenset({"b"}), rest=False)) == [1, 2]
