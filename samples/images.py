"""Write the sample disk image: `python -m samples.images [--check] [--out DIR]`.

disks/cleared-sysmon.img.gz is a disk with one NTFS partition. Its Sysmon log was cleared: it holds an event of
afterwards, the shadow copy of an hour before the log with cmd.exe starting Outlook. Security.evtx is the same in both.
With --check nothing is written; exit status 1 tells that the committed file, unpacked, differs from what would be.
"""

from __future__ import annotations

import argparse
import gzip
import struct
import sys
from collections.abc import Sequence
from pathlib import Path

from samples.evtx_writer import Event, UserData, log_bytes, sysmon_process
from samples.ntfs_writer import CLUSTER, volume
from samples.shadow_writer import keep
from samples.values import sid, to_filetime

HERE = Path(__file__).parent
NAME = "disks/cleared-sysmon.img.gz"
LOGS = "Windows/System32/winevt/Logs"
SYSMON = f"{LOGS}/Microsoft-Windows-Sysmon%4Operational.evtx"

_HOST = "WS-IMAGE.contoso.example"
_CLUSTERS = 640  # of the volume: 2.5 MiB
_AREA = range(384 * CLUSTER, 624 * CLUSTER)  # where the store lies
_START = 2048  # sector that the partition begins at
_COPIED = "2026-03-02 09:00:00"
_CLEARED = "2026-03-02 10:00:00"


def main(arguments: Sequence[str] | None = None) -> int:
    """Build or check; returns the exit status."""
    parser = argparse.ArgumentParser(prog="python -m samples.images", description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--check", action="store_true", help="compare with the file there; 1 if it differs")
    parser.add_argument("--out", type=Path, default=HERE, metavar="DIR", help="where to write (default: samples/)")
    options = parser.parse_args(arguments)
    path = options.out / NAME
    if options.check:
        # Unpacked: another zlib packs the same bytes in another way.
        if path.is_file() and gzip.decompress(path.read_bytes()) == disk():
            return 0
        print(f"{NAME}: {'differs' if path.is_file() else 'missing'}", file=sys.stderr)
        return 1
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(gzip.compress(disk(), 9, mtime=0))
    return 0


def disk() -> bytes:
    """The disk: a partition table, and the volume with its shadow copy."""
    content = volume_with_copy()
    return partitioned(content)


def partitioned(content: bytes) -> bytes:
    """A disk with one partition of type NTFS in an MBR."""
    table = bytearray(_START * 512)
    struct.pack_into("<BBBBBBBBII", table, 446, 0x80, 32, 33, 0, 7, 254, 255, 255, _START, len(content) // 512)
    table[510:512] = b"\x55\xaa"
    return bytes(table) + content


def volume_with_copy() -> bytes:
    """The volume after the log was cleared, and what it kept of before."""
    before = _volume({SYSMON: log_bytes(_before(), exported=False)}, _COPIED)
    after = {SYSMON: log_bytes(_after(), exported=False), f"{LOGS}/System.evtx": log_bytes(_cleared(), exported=False)}
    live = _volume(after, _CLEARED)
    return keep([(to_filetime(_COPIED), before)], live, _AREA)


def _volume(changing: dict[str, bytes], time: str) -> bytes:
    files = {f"{LOGS}/Security.evtx": log_bytes(_security(), exported=False)}
    return volume({**files, **changing}, _CLUSTERS, to_filetime(time))


def _before() -> list[Event]:
    shell = sysmon_process(
        Image=r"C:\Windows\System32\cmd.exe", time="2026-03-02 08:15:00", host=_HOST, record_id=4001,
        CommandLine=r'"C:\Windows\System32\cmd.exe" /c start outlook.exe /a C:\Users\alice\report.zip',
    )  # fmt: skip
    outlook = sysmon_process(
        Image=r"C:\Program Files\Microsoft Office\root\Office16\OUTLOOK.EXE",
        time="2026-03-02 08:15:02.500", host=_HOST, parent=shell,
    )  # fmt: skip
    return [shell, outlook]


def _after() -> list[Event]:
    return [
        sysmon_process(Image=r"C:\Windows\explorer.exe", time="2026-03-02 10:05:00", host=_HOST, record_id=1),
    ]


def _security() -> list[Event]:
    return [
        Event(
            "Microsoft-Windows-Security-Auditing", 4624, "Security", _HOST, "2026-03-02 08:00:00", record_id=77,
            provider_guid="{54849625-5478-4994-A5BA-3E3B0328C30D}",
            data=[("TargetUserSid", sid("S-1-5-21-1004336348-1177238915-682003330-1104")), ("TargetUserName", "alice")],
        )
    ]  # fmt: skip


def _cleared() -> list[Event]:
    return [
        Event(
            "Microsoft-Windows-Eventlog", 104, "System", _HOST, _CLEARED, record_id=9001, task=104,
            provider_guid="{FC65DDD8-D6EF-4962-83D5-6E5CFE9CE148}",
            user_data=UserData(
                "LogFileCleared",
                [("SubjectUserName", "alice"), ("Channel", "Microsoft-Windows-Sysmon/Operational"), ("BackupPath", "")],
                "http://manifests.microsoft.com/win/2004/08/windows/eventlog",
            ),
        )
    ]  # fmt: skip


if __name__ == "__main__":
    raise SystemExit(main())
