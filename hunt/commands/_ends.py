"""How commands end: exit codes, what is said of results that can't be written and of evidence that can't be read."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TextIO

from hunt import registry
from hunt.errors import HuntError
from hunt.model import Problem
from hunt.options import say

OK, FOUND, BAD_REQUEST, DAMAGED, INTERRUPTED = 0, 1, 2, 3, 130
PIPE_CLOSED = 141  # as shells tell of SIGPIPE


@contextmanager
def printing() -> Iterator[TextIO]:
    """Where results are printed. Raises HuntError if that can't be written: `hunt ... >FILE` on a full disk."""
    try:
        yield sys.stdout
        sys.stdout.flush()
    except BrokenPipeError:
        raise
    except OSError as error:
        drop_stdout()
        raise HuntError(f"stdout: can't write: {error.strerror or error}") from None


def drop_stdout() -> None:
    """So that leaving does not fail again."""
    sys.stdout = open(os.devnull, "w")  # noqa: SIM115, PTH123 - as long as we live


def named(evidence: tuple[Path, ...], cases: tuple[str, ...], otherwise: str = "") -> tuple[Path, ...]:
    """All places that are read, which nothing is written to. Raises HuntError if there are none."""
    if not (evidence or cases):
        raise HuntError(f"EVIDENCE{', ' if otherwise else ' or '}--case DIR{otherwise} is needed")
    return (*evidence, *(Path(case) for case in cases if "://" not in case))


def check_out(out: Path | None, evidence: tuple[Path, ...], folder: bool = True, ours: str | None = None) -> None:
    """`ours`: what a command writes that is no run, whose results it must not mix with its own."""
    if out is None:
        return
    if ours and (out / "manifest.json").exists():
        raise HuntError(f"{out}: holds the results of a run; name another folder for {ours}")
    if folder and out.exists() and not out.is_dir():
        raise HuntError(f"{out}: is a file; -o names a folder")
    # Path.exists raises where nobody may look.
    if out.exists() and any(os.path.exists(path) and path.samefile(out) for path in evidence):  # noqa: PTH110 - so
        raise HuntError(f"{out}: is evidence; results are never written into it")


def check_format(shown: str) -> None:
    """Raises HuntError for what no terminal can show."""
    if getattr(registry.output(shown), "BINARY", False) and sys.stdout.isatty():
        raise HuntError(f"--format {shown} is no text: send it to a file, as in `> findings.{shown}`")


@contextmanager
def writing(out: Path, what: str = " results") -> Iterator[None]:
    """Raises HuntError for what can't be written to `out`."""
    try:
        yield
    except OSError as error:
        raise HuntError(f"{out}: can't write{what}: {error.strerror or error}") from None


UNREAD = "; part of the evidence could not be read"
_SHOWN = 20  # problems that are printed where no file takes them all


def tell_problems(problems: Sequence[Problem]) -> None:
    for problem in problems[:_SHOWN]:
        place = "" if problem.offset is None else f" at {problem.offset}"
        record = "" if problem.record_id is None else f", record {problem.record_id}"
        say(f"{problem.source}{place}{record}: {problem.reason}")
    if len(problems) > _SHOWN:
        say(f"and {len(problems) - _SHOWN} more problems")
