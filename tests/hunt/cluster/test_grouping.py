"""Hosts in groups: each in one, of about one size, and with room for it."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hunt.cluster import tasks
from hunt.cluster.grouping import grouped
from tests.hunt.cluster.workers import some


@given(st.dictionaries(st.sampled_from(["", *"abcdefghij"]), st.integers(1, 1000)), st.integers(1, 5))
@settings(max_examples=40)
def test_each_host_is_in_one_group_and_those_without_a_name_in_the_first(sizes: dict[str, int], running: int) -> None:
    groups = grouped(sizes, some(running, 8000))
    assert "" in groups[0] and all(groups)
    assert sorted(host for group in groups for host in group) == sorted({"", *sizes})
    assert groups == grouped(dict(reversed(sizes.items())), some(running, 8000))


@pytest.mark.parametrize("running", [1, 2, 3, 4])
def test_parts_of_many_hosts_take_whole_packets(running: int) -> None:
    sizes = {f"ws{number:04}": 90 + number % 20 for number in range(300)}
    groups = grouped(sizes, some(running, 8 << 30))
    packets: dict[int, set[str]] = {}
    for host in sizes:
        packets.setdefault(tasks.bucket(host), set()).add(host)
    assert len(groups) == 2 * running
    assert all(sum(packet <= group for group in groups) == 1 for packet in packets.values())


def test_parts_of_many_hosts_are_of_about_one_size() -> None:
    sizes = dict.fromkeys((f"ws{number:04}" for number in range(1000)), 10)
    groups = grouped(sizes, some(2, 8 << 30))
    assert len(groups) == 4
    assert max(map(len, groups)) < 1.2 * min(map(len, groups))


def test_no_part_is_larger_than_a_worker_has_room_for() -> None:
    memory = 2 << 30
    sizes = dict.fromkeys((f"ws{number:04}" for number in range(100)), 10 << 20)  # 1 GiB
    groups = grouped(sizes, some(1, memory))
    assert all(tasks.HUNTED * len(group - {""}) * (10 << 20) <= memory for group in groups)


@pytest.mark.parametrize("running", [1, 2, 3])
def test_no_worker_waits_while_others_hunt_in_a_last_part(running: int) -> None:
    sizes = dict.fromkeys((f"ws{number:04}" for number in range(500)), 10 << 20)  # more than 2 parts for each of them
    groups = grouped(sizes, some(running, 2 << 30))
    assert len(groups) > 2 * running and len(groups) % running == 0
