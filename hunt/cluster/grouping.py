"""Hosts in groups that workers have room for."""

from __future__ import annotations

import heapq
from collections.abc import Mapping

from hunt import room
from hunt.cluster import tasks
from hunt.cluster.connect import Workers
from hunt.room import Room

_USED = 0.75  # of a worker's memory
_BASE = 512 << 20  # bytes: libraries, what reading leaves, and lots that wait (measured)
_LEAST = 192 << 20  # bytes, for a worker that has hardly more than that
_EVEN = 4  # buckets for each part, at least, so that parts are of about one size
_EACH = 2  # parts for each task that runs at a time, at least, so that all end at about the same time


def room_of(workers: Workers) -> Room:
    """Of each worker, for one task."""
    return Room.of(max(room.LEAST, workers.memory()))


def for_parts(workers: Workers) -> int:
    """Bytes of a worker's memory that parts may take: Dask halts a worker that fills four fifths, then ends it."""
    return max(_LEAST, int(workers.memory() * _USED) - _BASE)


def grouped(sizes: Mapping[str, int], workers: Workers) -> list[frozenset[str]]:
    """Hosts in groups, the largest first into the smallest group; the first group holds those without a name.

    Where there are many, what falls into one bucket goes together, if it is not too much.
    """
    total = sum(sizes.values())
    most = int(for_parts(workers) / tasks.HUNTED)
    at_once = workers.count()
    rounds = max(_EACH, -(-total // (most * at_once)))  # whole ones: in half a one, half of the workers wait
    number = max(1, min(len(sizes), rounds * at_once))
    # Of as few buckets as give parts of about one size: packets of small frames are of several.
    some = min(tasks.BUCKETS, 1 << (_EVEN * number - 1).bit_length())
    together = _by_bucket(sizes, some) if len(sizes) > tasks.FEW else {}
    if number > len(together) // 2 or any(sum(own.values()) > total / number for own in together.values()):
        together = {host: {host: size} for host, size in sizes.items()}
    groups: list[set[str]] = [{""}, *(set[str]() for _ in range(number - 1))]
    weights = [(0, n) for n in range(number)]
    whole = ((sum(own.values()), name, own) for name, own in together.items())
    for size, _, hosts in sorted(whole, key=lambda entry: ("" not in entry[2], -entry[0], entry[1])):
        weight, n = heapq.heappop(weights)  # the first is that of the nameless
        groups[n].update(hosts)
        heapq.heappush(weights, (weight + size, n))
    first, *others = groups
    return [frozenset(first), *(frozenset(group) for group in others if group)]


def _by_bucket(sizes: Mapping[str, int], buckets: int) -> dict[str, dict[str, int]]:
    found: dict[str, dict[str, int]] = {}
    for host, size in sizes.items():
        found.setdefault(f"{tasks.bucket(host) % buckets:02}", {})[host] = size
    return found
