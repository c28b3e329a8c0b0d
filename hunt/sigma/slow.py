"""Regular expressions that only Python's engine reads, in a process of its own: it may try for ever, and can't be asked
to stop."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Sequence
from typing import TYPE_CHECKING

from hunt.model import Status
from hunt.rules.model import RuleError

if TYPE_CHECKING:
    import polars as pl

_LONGEST_S = 20.0  # for some texts together,
_STUCK_S = 5.0  # and for one of them, after which it is given up and the next one tried
# Each answer leaves at once: those given before the process is stopped count.
_PROGRAM = """
import json, re, sys, warnings
warnings.simplefilter("ignore")
pattern, flags, texts = json.load(sys.stdin)
search = re.compile(pattern, flags).search
for text in texts:
    sys.stdout.write("01"[text is not None and search(text) is not None])
    sys.stdout.flush()
"""


def matches(texts: pl.Series, pattern: str, flags: str) -> pl.Series:
    """Which of some texts it matches; null where that took too long. Raises RuleError if it can't be run at all."""
    import re

    import polars as pl

    bits = int(sum({"i": re.I, "m": re.M, "s": re.S}[flag] for flag in flags))
    given = texts.to_list()
    told: list[bool | None] = []
    until = time.monotonic() + _LONGEST_S
    while len(told) < len(given) and (left := until - time.monotonic()) > 0:
        answers = _tried(given[len(told) :], pattern, bits, min(left, _STUCK_S))
        told += answers or [None]  # the first of them took all of the time
    return pl.Series(told + [None] * (len(given) - len(told)), dtype=pl.Boolean)


def _tried(texts: Sequence[str | None], pattern: str, bits: int, seconds: float) -> list[bool]:
    """The answers to the first of some texts, as many as there are after some seconds."""
    try:
        done = subprocess.run(  # noqa: S603  # our own program; the expression is data to it
            [sys.executable, "-I", "-S", "-c", _PROGRAM],
            input=json.dumps([pattern, bits, texts]).encode("ascii"),
            capture_output=True,
            timeout=seconds,
            check=True,
        )
    except subprocess.TimeoutExpired as late:
        return [answer == ord("1") for answer in late.stdout or b""]
    except (subprocess.CalledProcessError, OSError) as error:
        raise RuleError(Status.NOT_EVALUABLE, f"a regular expression of it can't be run ({error})") from None
    return [answer == ord("1") for answer in done.stdout]
