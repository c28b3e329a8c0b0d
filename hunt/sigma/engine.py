"""Many trees evaluated over the events of one kind, each shared test once.

A test on a column is told by the column's distinct texts, and the commonest ones, that a text stands somewhere, for all
rules together (`literals`). So a rule whose texts occur nowhere costs a few look-ups, and the tests that are dear, such
as regular expressions, are asked only of the rows that all others have left.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property, reduce

import numpy as np
import polars as pl
from polars.exceptions import PolarsError

from hunt import schema
from hunt.model import Status
from hunt.rules.model import RuleError
from hunt.sigma import anywhere, tree, truth
from hunt.sigma.columns import NONE, Codes, Column, Flags, Rows, column
from hunt.sigma.steps import Always, Ask, AskAll, Every, Look, Never, Some, Step, Steps


@dataclass(frozen=True, slots=True)
class Judged:
    """What a rule matches of some events. `untold`: others that might match, for all that could be told in time."""

    rows: Rows
    untold: Rows


def evaluate(steps: Steps, frame: pl.DataFrame) -> Iterator[tuple[int, Judged | RuleError]]:
    """For each rule that events of a frame match, or might match, which; or why it can't be told."""
    if not frame.height:
        return
    events = _Events(frame, steps)
    for rule, step in steps.of.items():
        if not events.possible(step):
            continue
        try:
            found = events.judged(step)
        except RuleError as error:
            yield rule, error
            continue
        # A rule is as foreign as evidence: what it makes an engine of expressions do is its own fault.
        except (PolarsError, ValueError, OverflowError, MemoryError) as error:
            yield rule, RuleError(Status.UNSUPPORTED, f"it could not be evaluated: {_line(error)}")
            continue
        if found.rows.size or found.untold.size:
            yield rule, found


def _line(error: BaseException) -> str:
    return (str(error) or type(error).__name__).splitlines()[0][:200]


@dataclass(slots=True)
class _Told:
    """What is known by now of a test that is asked only of some numbers of a column."""

    known: Flags
    met: Flags
    open: Flags  # it could not be told whether they meet it


class _Events:
    """The events of one frame while trees are asked of them."""

    def __init__(self, frame: pl.DataFrame, steps: Steps) -> None:
        self._frame = frame
        self._words = list(steps.words)
        known = {"provider", "event_id"}.issubset(frame.columns)
        self._kinds = schema.kinds(frame["provider"].unique(), int(frame["event_id"][0])) if known else {}
        self._columns: dict[str, Column] = {}
        self._told: dict[int, _Told] = {}  # by number of an Ask
        self._flags: dict[int, Flags] = {}  # by number of a Look
        self._counts: dict[int, int] = {}
        self._found: dict[int, Codes] = {}
        self._all_told = True  # of what was asked last
        for name, literals in steps.literals.items():
            self._found |= literals.found(self._column(name))

    def _column(self, name: str) -> Column:
        if name not in self._columns:
            self._columns[name] = column(self._frame, name, self._kinds)
        return self._columns[name]

    def possible(self, step: Step) -> bool:
        """False if no row can meet it, by what was looked up."""
        match step:
            case Look(number):
                return number in self._found
            case Every(of):
                return all(map(self.possible, of))
            case Some(of):
                return any(map(self.possible, of))
            case AskAll(_, words):
                return not words or bool(self._wordy.size)
        return True

    def judged(self, step: Step) -> Judged:
        self._all_told = True
        found = self._rows(step, None)
        if self._all_told:
            return Judged(found, NONE)
        return Judged(found, np.setdiff1d(self._rows(step, None, sure=False), found, assume_unique=True))

    def _rows(self, step: Step, within: Rows | None, *, sure: bool = True) -> Rows:
        """The rows, of some or of all, that meet it; if not `sure`, also those of which that could not be told."""
        match step:
            case Look():
                return self._looked_up(step, within)
            case Ask():
                return self._asked(step, within, sure)
            case AskAll(test, words):
                some = self._all(within) if not words else _common(self._wordy, within)
                found, open_ = anywhere.meeting(self._frame, test, some, self._kinds)
                self._all_told &= not open_.size
                return found if sure else np.union1d(found, open_)
            case Every(of):
                for part in sorted(of, key=self._cost):
                    within = self._rows(part, within, sure=sure)
                    if not within.size:
                        break
                return self._all(within)
            case Some(of):
                told = (self._rows(part, within, sure=sure) for part in of if self.possible(part))
                met = [rows for rows in told if rows.size]
                return reduce(np.union1d, met) if met else NONE
            case Never(of):
                some = self._all(within)
                if not some.size or not self.possible(of):
                    return some
                # Sure of what is surely not met.
                return np.setdiff1d(some, self._rows(of, some, sure=not sure), assume_unique=True)
            case Always():
                return self._all(within)

    def _all(self, within: Rows | None) -> Rows:
        return np.arange(self._frame.height) if within is None else within

    @cached_property
    def _wordy(self) -> Rows:
        return anywhere.holding(self._frame, self._words)

    def _cost(self, step: Step) -> tuple[int, int]:
        """What is asked first: what was looked up, the rarer the earlier; what is dear last."""
        match step:
            case Look():
                return 0, self._count(step)
            case Ask(_, _, test):
                return (4 if isinstance(test, tree.Regex) else 2), 0
            case AskAll():
                return 5, 0
            case Every(of):
                return min(map(self._cost, of))
            case Some(of):
                costs = [self._cost(part) for part in of]
                return max(cost for cost, _ in costs), sum(count for _, count in costs)
            case Never(of):
                return max(1, self._cost(of)[0]), self._frame.height
        return 0, 0

    def _count(self, look: Look) -> int:
        """How many rows, at most."""
        if look.number not in self._counts:
            codes = self._found.get(look.number, NONE)
            self._counts[look.number] = int(self._column(look.column).counts[codes].sum())
        return self._counts[look.number]

    def _looked_up(self, look: Look, within: Rows | None) -> Rows:
        if look.number not in self._found:
            return NONE
        own = self._column(look.column)
        if look.number not in self._flags:
            self._flags[look.number] = own.flags(self._found[look.number])
        return own.rows(self._flags[look.number], within)

    def _asked(self, ask: Ask, within: Rows | None, sure: bool) -> Rows:
        own = self._column(ask.column)
        match ask.test:
            case tree.Null() | tree.Exists():
                some = self._all(within)
                return np.asarray(some[(own.codes[some] < 0) == tree.absent(ask.test)])
            case tree.SameAs(field, op):
                return _same(own, self._column(field), op, self._all(within))
        told = self._flagged(ask, own, within)
        if told.open.any():
            self._all_told = False
            return own.rows(told.met if sure else told.met | told.open, within)
        return own.rows(told.met, within)

    def _flagged(self, ask: Ask, own: Column, within: Rows | None) -> _Told:
        """Which numbers of a column meet a test, as far as the rows asked for have them."""
        told = self._told.get(ask.number)
        if told is None:
            told = self._told[ask.number] = _Told(*np.zeros((3, own.size + 1), np.bool_))
            told.known[-1] = True
        wanted = np.zeros(own.size + 1, np.bool_)
        wanted[own.codes if within is None else own.codes[within]] = True
        fresh = np.flatnonzero(wanted & ~told.known)
        if fresh.size:
            places, owners = own.texts_of(fresh)
            met = truth.meets(ask.test, own.values.gather(places), own.plain.gather(places))
            told.met[owners[met.fill_null(value=False).to_numpy()]] = True
            if met.null_count():
                told.open[owners[met.is_null().to_numpy()]] = True
                told.open &= ~told.met  # of several texts another one meets it
            told.known[fresh] = True
        return told


def _common(rows: Rows, within: Rows | None) -> Rows:
    return rows if within is None else np.intersect1d(rows, within, assume_unique=True)


def _same(own: Column, other: Column, op: str, within: Rows) -> Rows:
    """Rows with two texts that are alike; of several texts in a column the first."""
    both = within[(own.codes[within] >= 0) & (other.codes[within] >= 0)]
    if not both.size:
        return NONE
    texts = pl.DataFrame({"a": _firsts(own, both), "b": _firsts(other, both)})
    a, b = pl.col("a"), pl.col("b")
    alike = {
        "equals": a == b,
        "contains": a.str.contains(b, literal=True),
        "startswith": a.str.starts_with(b),
        "endswith": a.str.ends_with(b),
    }[op]
    return np.asarray(both[texts.select(alike.fill_null(value=False))[:, 0].to_numpy()])


def _firsts(own: Column, rows: Rows) -> pl.Series:
    codes = own.codes[rows].astype(np.int64)
    return own.plain.gather(codes if own.owners is None else np.searchsorted(own.owners, codes))
