"""Regular expressions that only Python's engine reads, in a process of its own: it may try for ever, and can't be asked
to stop."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import TYPE_CHECKING

from hunt.model import Status
from hunt.rules.model import RuleError

if TYPE_CHECKING:
    import polars as pl

_LONGEST_S = 20.0
_PROGRAM = """
import json, re, sys, warnings
warnings.simplefilter("ignore")
pattern, flags, texts = json.load(sys.stdin)
search = re.compile(pattern, flags).search
json.dump([text is not None and search(text) is not None for text in texts], sys.stdout)
"""


def matches(texts: pl.Series, pattern: str, flags: str) -> pl.Series:
    """Which of some texts it matches. Raises RuleError if that takes too long."""
    import re

    import polars as pl

    bits = int(sum({"i": re.I, "m": re.M, "s": re.S}[flag] for flag in flags))
    asked = json.dumps([pattern, bits, texts.to_list()])
    try:
        done = subprocess.run(  # noqa: S603  # our own program; the expression is data to it
            [sys.executable, "-I", "-S", "-c", _PROGRAM],
            input=asked.encode("ascii"),
            capture_output=True,
            timeout=_LONGEST_S,
            check=True,
        )
    except subprocess.TimeoutExpired:
        raise RuleError(
            Status.NOT_EVALUABLE, f"a regular expression of it takes more than {_LONGEST_S:.0f} s"
        ) from None
    except subprocess.CalledProcessError as error:
        raise RuleError(Status.NOT_EVALUABLE, f"a regular expression of it can't be run ({error})") from None
    return pl.Series(json.loads(done.stdout), dtype=pl.Boolean)
