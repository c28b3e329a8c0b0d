"""A progress bar on stderr, shown only to people; what they should know at once is said in any case."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import click

from hunt.output._safe import safe
from hunt.watcher import Watcher

if TYPE_CHECKING:
    from rich.progress import Progress


class Teller(Watcher):
    """Notes, and with `debug` tracebacks of our own bugs."""

    def __init__(self, debug: bool) -> None:
        self.debug = debug

    def note(self, text: str) -> None:
        self._say(f"hunt: {safe(text)}")

    def fault(self, trace: str) -> None:
        if self.debug:
            self._say("\n".join(safe(line) for line in trace.splitlines()))

    def _say(self, text: str) -> None:
        click.echo(text, err=True)


class Bar(Teller):
    """Bytes, records, findings and time left of one run."""

    def __init__(self, shown: Progress, debug: bool) -> None:
        super().__init__(debug)
        self.shown = shown
        self.task = shown.add_task("", total=None, records=0, findings="")

    def begin(self, files: int, size: int) -> None:
        self.shown.update(self.task, total=size, completed=0, description=f"{files} files")

    def at(self, source: str, bytes_done: int, records: int) -> None:
        self.shown.update(self.task, completed=bytes_done, description=safe(source)[-40:], records=records)

    def hunting(self, query: str, number: int, queries: int, findings: int) -> None:
        description = f"{safe(query)[-32:]} ({number + 1} of {queries})"
        self.shown.update(self.task, description=description, findings=f", {findings} findings")

    def _say(self, text: str) -> None:
        self.shown.console.print(text, soft_wrap=True)  # what is printed past the bar would stand inside it


@contextmanager
def bar(hidden: bool = False, debug: bool = False) -> Iterator[Watcher]:
    """A bar of bytes read, records, findings and time left; gone when done, and never in a pipe or file.

    `debug`: tracebacks of our own bugs are printed.
    """
    if hidden or not sys.stderr.isatty():  # rich takes FORCE_COLOR for a terminal
        yield Teller(debug)
        return
    from rich import progress
    from rich.console import Console

    columns = (
        progress.TextColumn("{task.description}", markup=False),
        progress.BarColumn(bar_width=None),
        progress.DownloadColumn(),
        progress.TextColumn("{task.fields[records]} records{task.fields[findings]}", markup=False),
        progress.TimeRemainingColumn(),
    )
    console = Console(stderr=True, markup=False, highlight=False)
    with progress.Progress(*columns, console=console, transient=True) as shown:
        yield Bar(shown, debug)
