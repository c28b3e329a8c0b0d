"""`--log FILE`: what a run did, a JSON object a line, as it does it; harmless to print."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import TextIO

import click

from hunt import pulse
from hunt.errors import HuntError
from hunt.model import Problem, Tally
from hunt.output._safe import exact_json, safe
from hunt.watcher import Watcher


class Log(Watcher):
    """Lines that stand in the file as soon as they are said; without a file they go nowhere."""

    def __init__(self, out: TextIO | None = None, path: Path | None = None) -> None:
        self._out = out
        self._path = path
        self._began = time.monotonic()
        self._source = ""

    def say(self, event: str, **facts: object) -> None:
        """One line: when, how long after the beginning, what, and its facts."""
        if self._out:
            clock = {"time": datetime.now(UTC).isoformat(), "seconds": round(time.monotonic() - self._began, 3)}
            try:
                self._out.write(exact_json({**clock, "event": event, **facts}) + "\n")
                self._out.flush()
            except OSError as error:  # a full disk: the results matter more
                self._end()
                why = error.strerror or str(error)
                click.echo(
                    f"hunt: {safe(str(self._path))}: can't write the log: {why}; the run goes on without it", err=True
                )

    def begin(self, files: int, size: int) -> None:
        self.say("evidence", files=files, size=size)

    def at(self, source: str, bytes_done: int, records: int) -> None:
        if source != self._source:  # one line a file
            self._source = source
            self.say("reading", source=source, bytes_done=bytes_done, records=records)

    def problem(self, problem: Problem) -> None:
        facts = {name: getattr(problem, name) for name in Problem.__slots__}
        self.say("problem", **{name: value for name, value in facts.items() if value is not None})

    def tally(self, tally: Tally) -> None:
        counts = {"records_found": tally.found, "records_read": tally.read, "problems": tally.problems}
        item = tally.evidence
        self.say("read", source=item.source, size=item.size, sha256=item.sha256, parser=tally.parser, **counts)

    def hunting(self, query: str, number: int, queries: int, findings: int) -> None:
        self.say("query", query=query, findings_before=findings)

    def note(self, text: str) -> None:
        self.say("note", text=text)

    def fault(self, trace: str) -> None:
        self.say("fault", traceback=trace)

    def timing(self, step: str, seconds: float) -> None:
        self.say("done", step=step, took=round(seconds, 3))

    def close(self, **facts: object) -> None:
        """The last line."""
        self.say("end", **facts)
        self._end()

    def _end(self) -> None:
        if self._out:
            with suppress(OSError):  # closing writes what could not be written
                self._out.close()
            self._out = None

    def __enter__(self) -> Log:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if error is not None and not isinstance(error, SystemExit):
            self.close(ended_by=type(error).__name__, said=str(error))


def begin(path: Path | None, evidence: Sequence[Path], options: Mapping[str, object]) -> Log:
    """A log in this file, after what it holds; None: nowhere. Raises HuntError if that is where the evidence lies."""
    if path is None:
        return Log()
    target = path.resolve()
    for argument in evidence:
        place = argument.resolve()
        if target == place or place in target.parents or (place.is_file() and place.parent == target.parent):
            raise HuntError(f"{path}: lies beside evidence; the log is never written there")
    if target.exists() and not target.is_file():
        raise HuntError(f"{path}: is no file that can be written")
    try:
        log = Log(target.open("a", encoding="utf-8", errors="backslashreplace", newline="\n"), path)
        log.say("begin", options=dict(options))
        if pulse.orders().trouble:
            log.note(pulse.orders().trouble)
    except OSError as error:
        raise HuntError(f"{path}: can't write the log: {error.strerror or error}") from None
    return log
