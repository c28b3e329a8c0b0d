"""The latest of many, those left out that can't be meant: else whoever starts a crowd of short-lived processes hides
behind it.

What is taken, looked at and counted is bounded. First come the latest, whoever they are: they are listed, and why they
are none. Where there are more, the next ones are looked at, and those that may be meant taken in their stead.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np

from hunt.lineage.kinds import Flags, Ints, Small
from hunt.lineage.windows import Pairs, Window

Able = Callable[[Ints, Small], Flags]  # (positions on the left, rows on the right) -> which pairs may be meant

_AT_ONCE = 1_000_000  # pairs


def latest(window: Window, most: Ints, scanned: Ints, able: Able) -> Pairs:
    """The `most` latest for each of `placed`; where there are more, `most` able ones out of the `scanned` next, too.

    `left_over`: the able ones beyond them, and all that were not looked at.
    """
    near = window.latest(most)
    crowded = np.flatnonzero((window.found > most) & (scanned > 0))
    if not crowded.size:
        return near
    row = window.placed[crowded]
    looked = np.zeros(window.size, bool)
    looked[row] = True
    of_crowded = np.flatnonzero(looked[near.left])
    left, right = near.left[of_crowded], near.right[of_crowded]
    there = np.bincount(left[able(left, right)], minlength=window.size)
    wanted = np.zeros(window.size, np.int64)
    wanted[row] = np.maximum(most[crowded] - there[row], 0)
    left_over, parts = near.left_over.copy(), [near]
    for some in _portions(crowded, np.minimum(scanned, window.found - most)):
        more = window.only(some).latest(scanned[some], most[some])
        meant = np.flatnonzero(able(more.left, more.right))
        left, right = more.left[meant], more.right[meant]
        place = np.arange(left.size) - np.searchsorted(left, left, "left")
        taken = place < wanted[left]
        mine = window.placed[some]
        left_over[mine] = more.left_over[mine] + np.bincount(left[~taken], minlength=window.size)[mine]
        parts.append(Pairs(left[taken], right[taken], more.left_over))
    return Pairs(np.concatenate([p.left for p in parts]), np.concatenate([p.right for p in parts]), left_over)


def _portions(which: Ints, size: Ints) -> Iterator[Ints]:
    """`which` in parts of about _AT_ONCE pairs."""
    portion = np.cumsum(size[which]) // _AT_ONCE
    yield from np.split(which, np.flatnonzero(np.diff(portion)) + 1)
