"""What a rule file holds, before its query is read."""

from __future__ import annotations

from dataclasses import dataclass

from hunt.rules.model import RuleError, RuleInfo


@dataclass(frozen=True, slots=True)
class Found:
    """`info` with the query as its text; None if the file could not be read so far. `first_line`: of the query."""

    info: RuleInfo | None
    error: RuleError | None = None
    first_line: int = 1
    limits: tuple[str, ...] = ()
