"""Different events of the same keys, one for each filter, in any order: one match a key, the earliest events first.

Which keys have one is a question of who can stand for which filter: an event that meets several can be taken once. It
is answered once for each kind of key, by how many of its events meet which filters.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from hunt.eql.sequences import Chains, Events, Ints


def samples(steps: Sequence[Events]) -> Chains:
    """One match for each key that has one, by key; `events` in the order of the steps."""
    key, order, mask = _by_event(steps)
    count = len(steps)
    kinds = 1 << count
    # Events of one key that meet the same filters are as good as each other: of each kind the first few will do.
    group = key * kinds + mask
    by = np.lexsort((order, group))
    key, order, mask, group = key[by], order[by], mask[by], group[by]
    start = np.flatnonzero(np.diff(group, prepend=-1))
    rank = np.arange(len(group)) - np.repeat(start, np.diff(np.append(start, len(group))))
    few = rank < count
    key, order, mask, rank = key[few], order[few], mask[few], rank[few]

    keys, number = np.unique(key, return_inverse=True)
    counts = np.zeros((len(keys), kinds), np.int8)
    np.maximum.at(counts, (number, mask), (rank + 1).astype(np.int8))
    at = np.full((len(keys), kinds, count), -1, np.int64)
    at[number, mask, rank] = order
    signatures, of_key = np.unique(counts, axis=0, return_inverse=True)
    found_keys, found_events = [], []
    for n, signature in enumerate(signatures):
        chosen = _choice([int(c) for c in signature], count)
        if chosen is not None:
            own = np.flatnonzero(of_key.reshape(-1) == n)
            found_keys.append(keys[own])
            found_events.append(np.column_stack([at[own, m, r] for m, r in chosen]))
    if not found_keys:
        return Chains(np.empty(0, np.int64), np.empty((0, count), np.int64))
    found = Chains(np.concatenate(found_keys), np.concatenate(found_events))
    return found.only(np.argsort(found.key, kind="stable"))


def _by_event(steps: Sequence[Events]) -> tuple[Ints, Ints, Ints]:
    """(key, order, which steps it meets as bits) of each event under each of its keys."""
    key = np.concatenate([step.key for step in steps])
    order = np.concatenate([step.order for step in steps])
    bit = np.concatenate([np.full(len(step.key), 1 << n, np.int64) for n, step in enumerate(steps)])
    by = np.lexsort((order, key))
    key, order, bit = key[by], order[by], bit[by]
    if not len(key):
        return key, order, bit
    new = np.flatnonzero(np.concatenate([[True], (np.diff(key) != 0) | (np.diff(order) != 0)]))
    return key[new], order[new], np.bitwise_or.reduceat(bit, new)


def _choice(counts: list[int], steps: int) -> list[tuple[int, int]] | None:
    """For each step a kind of events and which of them, each once; None if there are too few. `counts`: by kind."""

    def chosen(step: int, left: list[int]) -> list[int] | None:
        if step == steps:
            return []
        # Events that meet fewest filters first: the others may be needed elsewhere.
        for kind in sorted((k for k in range(len(left)) if k >> step & 1 and left[k]), key=int.bit_count):
            rest = chosen(step + 1, [c - (k == kind) for k, c in enumerate(left)])
            if rest is not None:
                return [kind, *rest]
        return None

    kinds = chosen(0, counts)
    if kinds is None:
        return None
    return [(kind, kinds[:step].count(kind)) for step, kind in enumerate(kinds)]
