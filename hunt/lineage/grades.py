"""How much each candidate is worth, and which one is best."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from hunt.lineage.acts import MAYBE
from hunt.lineage.candidates import (
    CATALOGUE,
    CONTACT,
    LOGON,
    NAMELESS,
    NAMES,
    PAIR,
    SCM_PAIR,
    SESSION,
    USER,
    Candidates,
    Children,
    Found,
)
from hunt.lineage.keys import among
from hunt.lineage.kinds import UNKNOWN, Flags, Ints, Small
from hunt.lineage.numbers import Numbers, Started

GRADES = ("A", "B", "C", "D", "E", "F")
A, B, C, D, E, F = range(6)
_NONE = np.iinfo(np.int64).max


@dataclass(frozen=True, slots=True)
class Best:
    """The best candidate of each child, by position of the child.

    `pair`: its position among the pairs, -1 if there is none; `grade`: an index of GRADES, -1; `competitors`: how many
    others have that grade; `ambiguous`: whether one of these is more than what started it (`cmd /c`).
    """

    pair: Ints
    grade: Ints
    competitors: Ints
    ambiguous: Flags


def best(found: Found, grade: Small, numbers: Numbers, children: Children) -> Best:
    """By grade, then the time between both handles, then those that started no other candidate, then the youngest.

    `grade`: of each pair.
    """
    pairs = found.pairs
    kid = children.at(pairs.child)
    met = np.zeros((len(GRADES) + 1, children.row.size), bool)
    met[grade, kid] = True  # -1 is the last
    met[-1] = True
    of_child = met.argmax(axis=0)
    equal = np.flatnonzero(grade == of_child[kid])
    wrapper = wrappers(pairs, grade, equal, numbers)

    # In one number: gaps have 31 bits, and places in time fewer than that.
    younger = numbers.clock.times.size - numbers.clock.rank[pairs.candidate[equal]].astype(np.int64)
    left = _least((((pairs.gap[equal].astype(np.int64) << 1) | wrapper) << 31) | younger, equal, kid)
    left = _least(pairs.candidate[left], left, kid)
    pair = np.full(children.row.size, -1)
    pair[kid[left]] = left

    known = pair >= 0
    peers = np.bincount(kid[equal], minlength=children.row.size)
    equals = np.bincount(kid[equal[~wrapper]], minlength=children.row.size)
    unseen = np.where(known & (of_child >= D), found.left_over, 0)
    return Best(
        pair,
        np.where(known, of_child, -1),
        np.where(known, peers - 1 + unseen, 0),
        known & (equals + unseen > 1),
    )


def _least(value: Ints, pairs: Ints, kid: Small) -> Ints:
    """Of these pairs those whose value is the least of their child's."""
    own = kid[pairs]
    least = np.full(kid.max(initial=-1) + 1, _NONE)
    np.minimum.at(least, own, value)
    return pairs[np.flatnonzero(value == least[own])]


def ranked(found: Candidates, grade: Small, started: Started) -> tuple[Ints, Ints]:
    """(pairs by child and rank, the excluded ones last; the rank of each from 1, 0 for excluded ones)."""
    wrapper = np.zeros(grade.size, bool)
    judged = np.flatnonzero(grade >= 0)
    wrapper[judged] = wrappers(found, grade, judged, started)
    worth = np.where(grade < 0, len(GRADES), grade)
    start = started.start[found.candidate]
    order = np.lexsort((found.candidate, -start, wrapper, found.gap, worth, found.child))
    child = found.child[order]
    first = heads(child)
    rank = np.arange(child.size) - spread(first, first, child.size) + 1
    return order, np.where(grade[order] < 0, 0, rank)


def heads(*columns: Ints) -> Ints:
    """Where in rows that are in order those begin that have the same values."""
    other = np.ones(columns[0].size, bool)
    other[1:] = np.any([column[1:] != column[:-1] for column in columns], axis=0)
    return np.flatnonzero(other)


def spread(values: Ints, first: Ints, size: int) -> Ints:
    """A value for each row that begins something new, given to all rows of it."""
    return np.repeat(values, np.diff(first, append=size))


def graded(pairs: Candidates, children: Children) -> Small:
    """The grade of each pair as an index of GRADES, -1 for excluded ones."""
    flags = pairs.flags
    identity = children.identity[children.at(pairs.child)]

    def has(bits: int) -> Flags:
        return np.asarray((flags & bits) != 0, bool)

    same = has(LOGON)
    rules = (  # the first that holds counts, so they are written from the last
        (F, has(NAMELESS)),
        (E, has(SESSION | USER)),
        (D, same),
        (C, same & has(CONTACT | CATALOGUE | MAYBE)),
        (F, ~identity),
        (B, has(PAIR | SCM_PAIR | NAMES)),
        (A, identity & has(PAIR) & (same | has(SESSION))),
        (-1, pairs.excluded > 0),
    )
    grade = np.full(flags.size, F, np.int32)
    for value, holds in rules:
        grade[holds] = value
    return grade


def wrappers(pairs: Candidates, grade: Small, which: Ints, who: Started) -> Flags:
    """Which of these started another one of the same child and grade: that one is nearer to the request."""
    child, candidate = pairs.child[which].astype(np.uint64), pairs.candidate[which]
    # One number for child, grade and process. The child comes first, so that what is looked for lies close together;
    # what is left of 64 bits tells the few candidates of a child apart.
    bits = np.uint64(64 - max(int(child.max(initial=1)).bit_length(), 1))
    mix = (grade[which].astype(np.uint64) + np.uint64(1)) * np.uint64(0x9E3779B97F4A7C15)  # 2**64 over the golden ratio

    def key(hashes: Ints) -> npt.NDArray[np.uint64]:
        spread: npt.NDArray[np.uint64] = (hashes.view(np.uint64) ^ mix) >> (np.uint64(64) - bits)
        return (child << bits) | spread

    own, parents = who.guid[candidate], who.parent[candidate]
    started = np.sort(key(parents)[parents != UNKNOWN])
    return np.asarray(among(key(own), started) & (own != UNKNOWN), bool)
