"""The same findings from an archive as from the folder that it was made of, however it was made."""

from __future__ import annotations

import gzip
import io
import sys
import tarfile
import tempfile
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import polars as pl
import py7zr
import pytest
import pyzipper
from click.testing import CliRunner

from hunt.cli import main
from hunt.model import Opening, Report
from hunt.pipeline import Request, run
from tests.helpers import ROOT

if TYPE_CHECKING or sys.version_info < (3, 14):
    from backports import zstd
else:
    from compression import zstd

NAMES = ["script-hosts", "overlap-live", "Archive-overlap-2026-03-02-09-15-00-000", "forwarded", "user-data"]
LOGS = [ROOT / "samples" / "logs" / f"{name}.evtx" for name in NAMES]
PASSWORD = "correct horse"
FLAGSHIP = ["outlook-script-host"]  # one query tells whether archives are read as folders are


@pytest.fixture(scope="module")
def of_folder() -> Report:
    return run(Request(LOGS, FLAGSHIP))


def zipped(below: str = "logs/") -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        for log in LOGS:
            archive.write(log, below + log.name)
    return out.getvalue()


def encrypted_zip() -> bytes:
    out = io.BytesIO()
    with pyzipper.AESZipFile(out, "w", compression=zipfile.ZIP_DEFLATED, encryption=pyzipper.WZ_AES) as archive:
        archive.setpassword(PASSWORD.encode())
        for log in LOGS:
            archive.write(log, log.name)
    return out.getvalue()


def tarred() -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as archive:
        for log in LOGS:
            archive.add(log, f"logs/{log.name}")
    return out.getvalue()


def sevenzipped(password: str | None = None) -> bytes:
    out = io.BytesIO()
    with py7zr.SevenZipFile(out, "w", password=password, header_encryption=password is not None) as archive:
        for log in LOGS:
            archive.write(log, f"logs/{log.name}")
    return out.getvalue()


def kape() -> bytes:
    """As KAPE leaves it: a zip of a zip of drive C, with its own notes beside."""
    inner = io.BytesIO()
    with zipfile.ZipFile(inner, "w", zipfile.ZIP_DEFLATED) as archive:
        for log in LOGS:
            archive.write(log, f"C\\Windows\\System32\\winevt\\logs\\{log.name}".replace("\\", "/"))
        archive.writestr("C/$MFT", bytes(5000))
    outer = io.BytesIO()
    with zipfile.ZipFile(outer, "w", zipfile.ZIP_STORED) as archive:
        archive.writestr("2026-03-02T081500_host.zip", inner.getvalue())
        archive.writestr("2026-03-02T081500_ConsoleLog.txt", "KAPE version 1.3")
    return outer.getvalue()


WAYS: dict[str, Callable[[], bytes]] = {
    "case.zip": zipped,
    "case.tar.zst": lambda: zstd.compress(tarred()),
    "case.7z": sevenzipped,
    "kape.zip": kape,
    "velociraptor.zip": lambda: zipped(below="uploads/auto/C%3A/Windows/System32/winevt/Logs/"),
}


def same(found: Report, expected: Report) -> bool:
    """Whether the findings are the same but for where they were found."""
    return found.findings.drop("sources").equals(expected.findings.drop("sources"))


@pytest.mark.parametrize("name", WAYS)
def test_an_archive_gives_the_findings_of_its_folder(tmp_path: Path, of_folder: Report, name: str) -> None:
    (tmp_path / name).write_bytes(WAYS[name]())
    found = run(Request([tmp_path / name], FLAGSHIP))
    assert found.problems == ()
    assert same(found, of_folder)
    places = found.findings["sources"].explode().unique().to_list()
    assert all(place.startswith(f"{name}!") for place in places)
    events = found.events.drop("sources"), of_folder.events.drop("sources")
    assert events[0].equals(events[1])  # also the fields that are read a second time


@pytest.mark.parametrize(("name", "content"), [("a.zip", encrypted_zip), ("a.7z", lambda: sevenzipped(PASSWORD))])
def test_an_encrypted_archive_gives_them_with_the_password(
    tmp_path: Path, of_folder: Report, name: str, content: Callable[[], bytes]
) -> None:
    (tmp_path / name).write_bytes(content())
    assert same(run(Request([tmp_path / name], FLAGSHIP, opening=Opening(PASSWORD))), of_folder)


def test_folder_archive_and_single_files_are_read_together(tmp_path: Path, of_folder: Report) -> None:
    """Each event counts once, and every place it was found at is told."""
    (tmp_path / "a.zip").write_bytes(zipped())
    (tmp_path / "more").mkdir()
    for log in LOGS:
        (tmp_path / "more" / f"{log.name}.gz").write_bytes(gzip.compress(log.read_bytes()))
    found = run(Request([tmp_path], FLAGSHIP))
    assert same(found, of_folder)
    least = found.findings.select(pl.col("sources").list.len().min()).item()
    assert least >= 2
    assert len(found.tallies) == 2 * len(LOGS)


@pytest.mark.parametrize("command", [["run"], ["verify"], ["frame", "-e", "sysmon:1", "-o"]])
def test_commands_take_archives_and_passwords(tmp_path: Path, command: list[str]) -> None:
    log = ROOT / "samples" / "logs" / "clone-b.evtx"
    path = tmp_path / "a.zip"
    with pyzipper.AESZipFile(path, "w", encryption=pyzipper.WZ_AES) as archive:
        archive.setpassword(PASSWORD.encode())
        archive.write(log, log.name)
    arguments = [*command, str(tmp_path / "out.csv")] if command[-1] == "-o" else command
    refused = CliRunner().invoke(main, [*arguments, str(path)])
    assert refused.exit_code == 2
    assert "a.zip: is encrypted: --password is needed for 1 of its members" in refused.stderr
    done = CliRunner().invoke(main, [*arguments, str(path), "--password", PASSWORD])
    assert done.exit_code == 0, done.output
    assert CliRunner().invoke(main, [*arguments, str(path)], env={"HUNT_PASSWORD": PASSWORD}).exit_code == 0


def test_the_limits_are_options(tmp_path: Path) -> None:
    path = tmp_path / "a.zip"
    path.write_bytes(zipped())
    for option, value in {"unpacked": "100K", "members": "3"}.items():
        done = CliRunner().invoke(main, ["run", str(path), f"--max-{option}", value])
        assert done.exit_code == 3, done.output
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("inner.zip", zipped())
    done = CliRunner().invoke(main, ["run", str(path), "--max-depth", "1"])
    assert done.exit_code == 2
    assert "--max-depth raises the limit" in done.stderr


def test_real_archives_are_read_directly(real_evidence: Path) -> None:
    """JSON lines as OTRF's data sets have them, in the zips they come in."""
    found = run(Request([real_evidence / "jsonl" / "psh_cmstp_execution_bypassuac.zip"]))
    assert found.hosts
    assert sum(tally.read for tally in found.tallies) > 100


def test_a_run_leaves_nothing_in_the_temporary_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    place = tmp_path / "temporary"
    place.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(place))
    (tmp_path / "a.zip").write_bytes(zipped())
    run(Request([tmp_path / "a.zip"]))
    assert list(place.iterdir()) == []
