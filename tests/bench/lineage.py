"""How long lineage takes, and how much memory, for many process starts: generated frames, no decoding.

`python -m tests.bench.lineage --starts 5000000 --hosts 200 [--minute] [--no-ends] [--candidates]`. By default the
starts are spread over a day; with `--minute` all of a host fall into the same minute, the worst case for pairs by time.
"""

from __future__ import annotations

import argparse
import resource
import time
from dataclasses import dataclass, field

import numpy as np
import polars as pl

from hunt import schema
from hunt.events import Events
from hunt.model import SYSMON, EventType
from hunt.queries.outlook_script_host import HUNT

_SYSTEM = "C:\\Windows\\System32\\"
_DCOM = f"{_SYSTEM}svchost.exe -k DcomLaunch -p"
# Parent and its command line, child and its command line, in parts of a hundred of all starts.
_KINDS = (
    (
        3,
        f"{_SYSTEM}svchost.exe",
        _DCOM,
        f"{_SYSTEM}dllhost.exe",
        "dllhost.exe /Processid:{3EB3C877-1F16-487C-9050-104DBCD66683}",
    ),
    (1, f"{_SYSTEM}svchost.exe", _DCOM, "C:\\Office16\\OUTLOOK.EXE", "OUTLOOK.EXE -Embedding"),
    (2, f"{_SYSTEM}wbem\\WmiPrvSE.exe", "wmiprvse.exe -secured -Embedding", f"{_SYSTEM}cmd.exe", "cmd.exe /c whoami"),
    (2, f"{_SYSTEM}services.exe", "services.exe", f"{_SYSTEM}svchost.exe", "svchost.exe -k netsvcs -p"),
    (2, f"{_SYSTEM}svchost.exe", "svchost.exe -k netsvcs -p -s Schedule", f"{_SYSTEM}taskhostw.exe", "taskhostw.exe"),
    (
        5,
        f"{_SYSTEM}cmd.exe",
        "cmd.exe /c run.cmd",
        f"{_SYSTEM}wscript.exe",
        "wscript.exe //B C:\\scripts\\inventory.vbs",
    ),
    (5, f"{_SYSTEM}cmd.exe", "cmd.exe /c run.cmd", f"{_SYSTEM}conhost.exe", "conhost.exe 0xffffffff -ForceV1"),
    (80, "C:\\Windows\\explorer.exe", "explorer.exe", f"{_SYSTEM}cmd.exe", "cmd.exe /c dir C:\\Users"),
)
_BEGIN = 1_772_439_300  # 2026-03-02 08:15:00 UTC


@dataclass
class Generated(Events):
    """A case of frames that no parser gave."""

    frames: dict[tuple[str, int], pl.DataFrame] = field(default_factory=dict)

    def __post_init__(self) -> None:
        super().__init__(HUNT.wanted)

    def frame(self, channel: str, event_id: int) -> pl.LazyFrame:
        met = self.frames.get(EventType(channel, event_id).key)
        return super().frame(channel, event_id) if met is None else met.lazy()


def case(starts: int, hosts: int, minute: bool, ends: bool) -> Generated:
    """Starts by host and time; every process lives 20 s on average, and its end is logged if `ends`."""
    rng = np.random.default_rng(5)
    span = 60 if minute else 86_400
    host = np.repeat(np.arange(hosts), starts // hosts)
    count = host.size
    at = np.sort(rng.integers(0, span * 10**9, (hosts, starts // hosts)), axis=1).ravel() + _BEGIN * 10**9
    kind = rng.choice(len(_KINDS), count, p=[share / 100 for share, *_ in _KINDS])
    number = pl.Series(np.arange(count))
    seconds = pl.Series(at // 10**9)
    guid = pl.select(
        pl.concat_str(
            pl.lit("{B2796A13-"), _hex(seconds % 65536, 4), pl.lit("-"), _hex(seconds // 65536, 4),
            pl.lit("-0000-"), _hex(number, 12), pl.lit("}"),
        ).alias("guid")
    )["guid"]  # fmt: skip
    user = rng.integers(0, 4, count)
    parent = np.maximum(np.arange(count) - rng.integers(1, 50, count), 0)

    def pool(texts: list[str], which: np.ndarray) -> pl.Series:
        return pl.Series(texts).gather(which)

    core = {
        "time": pl.Series(at).cast(schema.TIME),
        "host": pool([f"WS{n:03d}.contoso.example" for n in range(hosts)], host),
        "channel": pool([SYSMON], np.zeros(count, np.int64)),
        "ProcessGuid": guid,
        "ProcessId": pl.Series(rng.integers(1000, 60000, count), dtype=pl.UInt32),
        "Image": pool([k[3] for k in _KINDS], kind),
    }
    frame = pl.DataFrame(
        core
        | {
            "event_id": pl.Series(np.full(count, 1), dtype=pl.UInt32),
            "record_id": pl.Series(np.arange(count), dtype=pl.UInt64),
            "CommandLine": pool([k[4] for k in _KINDS], kind),
            "User": pool([f"CONTOSO\\user{n}" for n in range(4)], user),
            "LogonGuid": pool(
                [f"{{B2796A13-0000-0000-{n:04X}-{m:012X}}}" for n in range(hosts) for m in range(4)], host * 4 + user
            ),
            "LogonId": pl.Series(0x50000 + user, dtype=pl.UInt64),
            "TerminalSessionId": pl.Series(user, dtype=pl.UInt32),
            "IntegrityLevel": pool(["Medium", "High"], user % 2),
            "Hashes": pool([f"SHA256={n:064X}" for n in range(len(_KINDS))], kind),
            "OriginalFileName": pool([k[3].rsplit("\\", 1)[-1] for k in _KINDS], kind),
            "Description": pool(["a program"], np.zeros(count, np.int64)),
            "ParentProcessGuid": guid.gather(parent),
            "ParentProcessId": core["ProcessId"].gather(parent),
            "ParentImage": pool([k[1] for k in _KINDS], kind),
            "ParentCommandLine": pool([k[2] for k in _KINDS], kind),
            "ParentUser": pl.Series([None], dtype=pl.String).new_from_index(0, count),
        }
    )
    frames = {EventType(SYSMON, 1).key: frame}
    if ends:
        lived = pl.Series(rng.exponential(20e9, count).astype(np.int64))
        ended = {**core, "time": pl.Series(at + lived.to_numpy()).cast(schema.TIME)}
        frames[EventType(SYSMON, 5).key] = pl.DataFrame(ended).with_columns(pl.lit(None, pl.String).alias("User"))
    return Generated(frames=frames)


def _hex(number: pl.Series, digits: int) -> pl.Series:
    """Whole numbers as that many hexadecimal digits."""
    texts = pl.Series([f"{n:04X}" for n in range(1 << 16)])
    parts = [texts.gather((number // (1 << (16 * place))) % (1 << 16)) for place in reversed(range(digits // 4))]
    joined = parts[0]
    for part in parts[1:]:
        joined = joined + part
    return joined


def _memory() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (1 << 20)  # kB on Linux -> GiB


def main() -> None:
    """Print what each step took: wall and processor seconds, and the process's peak memory by then."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--starts", type=int, default=5_000_000)
    options.add_argument("--hosts", type=int, default=200)
    options.add_argument("--minute", action="store_true")
    options.add_argument("--no-ends", action="store_true")
    options.add_argument("--candidates", action="store_true")
    given = options.parse_args()
    began, spent = time.monotonic(), time.process_time()

    def told(step: str, rows: int) -> None:
        nonlocal began, spent
        now, used = time.monotonic(), time.process_time()
        print(
            f"{step:12} {rows:>12,} rows {now - began:7.1f} s wall {used - spent:7.1f} s cpu {_memory():6.2f} GiB",
            flush=True,
        )
        began, spent = time.monotonic(), time.process_time()

    generated = case(given.starts, given.hosts, given.minute, not given.no_ends)
    told("generated", given.starts)
    told("processes", generated.processes.select(pl.len()).collect().item())
    told("lineage", generated.lineage.select(pl.len()).collect().item())
    told("hunt", HUNT.find(generated).collect().height)
    if given.candidates:  # what `hunt lineage` writes
        told("candidates", generated.candidates.select(pl.len()).collect().item())


if __name__ == "__main__":
    main()
