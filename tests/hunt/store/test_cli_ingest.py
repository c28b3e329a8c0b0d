"""`hunt ingest` as a command: what it says, and how it ends."""

from __future__ import annotations

import errno
import json
import os
from pathlib import Path

import pytest

from hunt.store import folders
from tests.hunt.store.ingesting import logs, tree
from tests.hunt.test_cli import damage, hunt, last, refused


@pytest.fixture
def evidence(tmp_path: Path) -> Path:
    return logs(tmp_path / "evidence")


def test_an_ingest_says_what_it_brought_and_what_was_there(evidence: Path, tmp_path: Path) -> None:
    case, log = tmp_path / "case", tmp_path / "ingest.log"
    result = hunt("ingest", evidence, "--case", case, "--log", log)
    assert (result.exit_code, result.stdout) == (0, "")
    assert last(result) == f"hunt: 17 of 17 records of 5 logs brought into {case}; 1 logs equal others"
    told = [json.loads(line) for line in log.read_text().splitlines()]
    assert next(line["source"] for line in told if line["event"] == "read") == "A.evtx"
    assert told[-1]["exit_code"] == 0
    before = tree(case)
    result = hunt("ingest", evidence, "--case", case)
    assert (result.exit_code, last(result)) == (0, f"hunt: {case}: nothing new; 5 logs were in already")
    assert tree(case) == before


def test_evidence_that_could_not_be_read_whole_ends_with_three_each_time(evidence: Path, tmp_path: Path) -> None:
    damage(evidence / "A.evtx")
    for _ in range(2):
        result = hunt("ingest", evidence / "A.evtx", "--case", tmp_path / "case")
        assert result.exit_code == 3
        assert last(result).endswith("; part of the evidence could not be read")
        assert "A.evtx at " in result.stderr


def test_what_can_not_be_served_is_one_line(evidence: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert "holds other files and is no case" in refused("ingest", evidence / "A.evtx", "--case", evidence)
    small = refused("ingest", evidence, "--case", tmp_path / "case", "--max-memory", "600M")
    assert small == "hunt: --max-memory: 1024M is the least that an ingest takes"
    assert "no such file" in refused("ingest", tmp_path / "nowhere", "--case", tmp_path / "case")

    def full(self: folders.Local, path: str, content: bytes) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(folders.Local, "write", full)
    said = refused("ingest", evidence, "--case", tmp_path / "case")
    assert said == f"hunt: {tmp_path / 'case'}: can't write: No space left on device; what is in the case is whole"
