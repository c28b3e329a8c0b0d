"""Which rows meet a condition: what is cheap is asked first, and what is dear of those that are left."""

from __future__ import annotations

import numpy as np

from hunt.eql.columns import Rows, Table
from hunt.eql.conditions import All, Any, Inverse, Leaf, Tree


def select(tree: Tree, table: Table, rows: Rows | None = None) -> Rows:
    """The rows that meet it, of these (None: all), ascending."""
    return _Selection(table).of(tree, rows)


class _Selection:
    def __init__(self, table: Table) -> None:
        self._table = table

    def of(self, tree: Tree, rows: Rows | None) -> Rows:
        match tree:
            case bool():
                return self._every(rows) if tree else np.empty(0, np.int64)
            case Leaf():
                if rows is not None and not len(rows):
                    return rows
                met = np.flatnonzero(self._table.judge(tree.test, rows))
                return met if rows is None else rows[met]
            case All():
                for part in sorted(tree.parts, key=self._cost):
                    rows = self.of(part, rows)
                    if not len(rows):
                        break
                return self._every(rows)
            case Any():
                return self._any(tree, rows)
            case Inverse():
                return _but(self._every(rows), self.of(tree.part, rows), self._table.height)
        raise AssertionError(f"what is left of a condition is no {type(tree).__name__}")

    def _any(self, tree: Any, rows: Rows | None) -> Rows:
        found = []
        for part in sorted(tree.parts, key=self._cost):
            met = self.of(part, rows)
            if len(met):
                found.append(met)
                rows = _but(self._every(rows), met, self._table.height)
            if rows is not None and not len(rows):
                break
        return np.sort(np.concatenate(found)) if found else np.empty(0, np.int64)

    def _every(self, rows: Rows | None) -> Rows:
        return np.arange(self._table.height, dtype=np.int64) if rows is None else rows

    def _cost(self, tree: Tree) -> float:
        match tree:
            case Leaf():
                return self._table.cost(tree.test)
            case All():
                return min(self._cost(part) for part in tree.parts) + 1
            case Any():
                return sum(self._cost(part) for part in tree.parts) + 1
            case Inverse():
                return self._cost(tree.part) + 0.5
        return 0.0


def _but(rows: Rows, met: Rows, height: int) -> Rows:
    """These rows without those."""
    if not len(met):
        return rows
    left = np.ones(height, bool)
    left[met] = False
    return rows[left[rows]]
