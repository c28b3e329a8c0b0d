"""In-process times of the decoder: ours.py LOG [--all] [--write FILE] [--steps].

Prints records and seconds; --steps tells where they go. One process; the machine's cores are whatever it is given.
"""

import importlib
import sys
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

from hunt import helpers

_JOBS = int(sys.argv[sys.argv.index("--jobs") + 1]) if "--jobs" in sys.argv else 1
if __name__ == "__main__":
    helpers.prepare([Path(sys.argv[1])], _JOBS)  # as `hunt frame` does: they import while we do

from hunt import export, registry, schema  # noqa: E402 - helpers first
from hunt.model import ALL_COLUMNS, SYSMON, Batch, EventType, Evidence, Reading, Wants  # noqa: E402 - as above
from hunt.parsers import assemble, decode, framing, templates, texts, unit  # noqa: E402 - as above

STARTS = EventType(SYSMON, 1)
STEPS: list[tuple[str, Any, str]] = [
    ("read", unit, "_read"),
    ("checksums", framing, "sound"),
    ("walk", framing, "frames"),
    ("templates", templates.Templates, "numbers"),
    ("halves", texts.Halves, "__init__"),
    ("values", decode, "values"),
    ("columns", decode.Decoder, "_piece"),
    ("frames", assemble, "frame"),
    ("types", schema, "conform"),
    ("write", export.Writer, "write"),
]


def watch(spent: Counter[str]) -> None:
    """Count the time inside each step, but not inside a step within it."""
    stack: list[float] = []

    def timed(name: str, function: Callable[..., Any]) -> Callable[..., Any]:
        def call(*given: Any, **named: Any) -> Any:
            began = time.perf_counter()
            stack.append(0.0)
            try:
                return function(*given, **named)
            finally:
                took = time.perf_counter() - began
                spent[name] += took - stack.pop()
                if stack:
                    stack[-1] += took

        return call

    for name, owner, attribute in STEPS:
        setattr(owner, attribute, timed(name, getattr(owner, attribute)))


def main() -> None:
    """Decode, and write if asked to."""
    everything, steps = "--all" in sys.argv, "--steps" in sys.argv
    log = Path(sys.argv[1])
    out = Path(sys.argv[sys.argv.index("--write") + 1]) if "--write" in sys.argv else None
    if out:
        for library in ("lxml.etree", "pyarrow.parquet"):  # theirs has imported all it needs when its clock starts
            importlib.import_module(library)
    spent: Counter[str] = Counter()
    if steps:
        watch(spent)
    parser = registry.parsers()[0]
    wants = Wants() if everything else Wants({STARTS.key: ALL_COLUMNS})
    evidence = Evidence(log, log.name, log.stat().st_size, "")
    began, records = time.perf_counter(), 0
    target = None
    if out:
        target = (export.export_all(out) if everything else export.export_one(STARTS, out)).__enter__()
    for part in parser.read([evidence], Reading(wants, _JOBS, processes=True)):
        if isinstance(part, Batch):
            records += int(part.census["records"].sum())
            if target:
                target.add(part)
    if target:
        target.__exit__(None, None, None)
    took = time.perf_counter() - began
    print(f"{records} records, {took:.3f} s")
    for name, seconds in spent.most_common():
        print(f"  {name}: {seconds:.3f} s, {seconds / took:.0%}")


if __name__ == "__main__":
    main()
