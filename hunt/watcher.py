"""Who is told how a run comes along: a progress bar, a log file."""

from __future__ import annotations

from hunt.model import Problem, Tally


class Watcher:
    """Hears everything and does nothing; those that do something override what they care for."""

    def begin(self, files: int, size: int) -> None:
        """So many files, so many bytes in all; said again if reading begins again."""

    def at(self, source: str, bytes_done: int, records: int) -> None:
        """So many bytes of all files are done, so many records read."""

    def problem(self, problem: Problem) -> None:
        """Something could not be read."""

    def tally(self, tally: Tally) -> None:
        """What one file gave, after all were read."""

    def hunting(self, query: str, number: int, queries: int, findings: int) -> None:
        """The query (number: from 0) is running now; so many findings until now."""

    def note(self, text: str) -> None:
        """Something that a person should know at once."""

    def fault(self, trace: str) -> None:
        """A traceback: a bug of ours that one file has met."""

    def timing(self, step: str, seconds: float) -> None:
        """A step is done."""


class Both(Watcher):
    """Two watchers as one."""

    def __init__(self, one: Watcher, other: Watcher) -> None:
        self._both = (one, other)

    def begin(self, files: int, size: int) -> None:
        for watcher in self._both:
            watcher.begin(files, size)

    def at(self, source: str, bytes_done: int, records: int) -> None:
        for watcher in self._both:
            watcher.at(source, bytes_done, records)

    def problem(self, problem: Problem) -> None:
        for watcher in self._both:
            watcher.problem(problem)

    def tally(self, tally: Tally) -> None:
        for watcher in self._both:
            watcher.tally(tally)

    def hunting(self, query: str, number: int, queries: int, findings: int) -> None:
        for watcher in self._both:
            watcher.hunting(query, number, queries, findings)

    def note(self, text: str) -> None:
        for watcher in self._both:
            watcher.note(text)

    def fault(self, trace: str) -> None:
        for watcher in self._both:
            watcher.fault(trace)

    def timing(self, step: str, seconds: float) -> None:
        for watcher in self._both:
            watcher.timing(step, seconds)
