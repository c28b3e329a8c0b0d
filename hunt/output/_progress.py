"""A progress bar on stderr, shown only to people."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from rich import progress
from rich.console import Console

from hunt.output._safe import safe


class _Bar:
    """Implements `hunt.pipeline.Watcher`."""

    def __init__(self, shown: progress.Progress) -> None:
        self.shown = shown
        self.task = shown.add_task("", total=None, records=0)

    def begin(self, files: int, size: int) -> None:
        self.shown.update(self.task, total=size, description=f"{files} files")

    def at(self, source: str, bytes_done: int, records: int) -> None:
        self.shown.update(self.task, completed=bytes_done, description=safe(source)[-40:], records=records)


@contextmanager
def bar(hidden: bool = False) -> Iterator[_Bar]:
    """A bar of bytes read, records and time left; gone when done, and never in a pipe or file."""
    console = Console(stderr=True, markup=False, highlight=False)
    columns = (
        progress.TextColumn("{task.description}", markup=False),
        progress.BarColumn(bar_width=None),
        progress.DownloadColumn(),
        progress.TextColumn("{task.fields[records]} records", markup=False),
        progress.TimeRemainingColumn(),
    )
    disable = hidden or not console.is_terminal
    with progress.Progress(*columns, console=console, transient=True, disable=disable) as shown:
        yield _Bar(shown)
