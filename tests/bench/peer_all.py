"""The same as `hunt frame --all` on the fastest route there was: PyPI evtx (Rust, all threads), orjson, polars.

peer_all.py OUT LOG...: every event type of all logs to a Parquet file each. With --one: all Sysmon EID 1 to one file.
"""

import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import orjson
import polars as pl
from evtx import PyEvtxParser


def records(path: str) -> Iterator[Any]:
    """All events of a log, on with the next after a bad record."""
    rows = PyEvtxParser(path, number_of_threads=0).records_json()
    while True:
        try:
            yield orjson.loads(next(rows)["data"])["Event"]
        except StopIteration:
            return
        except Exception:  # a damaged record: go on with the next
            continue


def row(event: dict[str, Any]) -> tuple[tuple[str, int], dict[str, Any]]:
    """(channel and event id, fields) of one event; nested UserData as JSON."""
    system = event["System"]
    number = system["EventID"]
    number = number["#text"] if isinstance(number, dict) else number
    fields = {"Computer": system["Computer"], "EventRecordID": system["EventRecordID"]}
    for section in ("EventData", "UserData"):
        for name, value in (event.get(section) or {}).items():
            plain = isinstance(value, str | int | float | bool | None)
            fields[name] = value if plain else orjson.dumps(value).decode()
    return (system.get("Channel") or "", int(number)), fields


def main(out: str, logs: list[str], one: bool) -> None:
    """Read, gather, write."""
    began, rows = time.perf_counter(), {}
    for log in logs:
        for event in records(log):
            kind, fields = row(event)
            if not one or kind == ("Microsoft-Windows-Sysmon/Operational", 1):
                rows.setdefault(kind, []).append(fields)
    Path(out).mkdir(parents=True, exist_ok=True)
    for (channel, number), events in rows.items():
        name = channel.replace("/", "%2F")
        pl.DataFrame(events, infer_schema_length=None, strict=False).write_parquet(f"{out}/{name}.{number}.parquet")
    print(f"{sum(map(len, rows.values()))} rows, {time.perf_counter() - began:.3f} s")


if __name__ == "__main__":
    flags = [a for a in sys.argv[1:] if a.startswith("--")]
    target, *paths = (a for a in sys.argv[1:] if not a.startswith("--"))
    found = [str(p) for path in paths for p in (sorted(Path(path).rglob("*.evtx")) if Path(path).is_dir() else [path])]
    main(target, found, "--one" in flags)
