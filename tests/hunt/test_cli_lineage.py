"""`hunt lineage` from the outside."""

from __future__ import annotations

import csv
import json
from pathlib import Path

from click.testing import CliRunner, Result

from hunt.cli import main
from hunt.lineage import CANDIDATES_CSV, LINEAGE_CSV


def trace(*arguments: str | Path) -> Result:
    return CliRunner().invoke(main, ["lineage", "--quiet", "--jobs", "1", *map(str, arguments)])


def rows(path: Path) -> list[dict[str, str]]:
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def test_the_folder_gets_lineage_and_candidates(samples: Path, tmp_path: Path) -> None:
    result = trace(samples / "logs", "-o", tmp_path)
    assert result.exit_code == 0, result.output
    lineage, candidates = rows(tmp_path / "lineage.csv"), rows(tmp_path / "candidates.csv")
    assert tuple(lineage[0]) == LINEAGE_CSV
    assert tuple(candidates[0]) == CANDIDATES_CSV
    assert {row["grade"] for row in lineage} <= {"A", "B", "C", "D", "E", "F", ""}
    assert all(isinstance(json.loads(row["evidence"]), list) for row in lineage)
    best = {(r["host"], r["child_guid"], r["time"]): r["candidate_guid"] for r in candidates if r["rank"] == "1"}
    named = {(r["host"], r["child_guid"], r["time"]): r["requester_guid"] for r in lineage if r["grade"]}
    assert best == named
    assert all(bool(row["rank"]) != bool(row["excluded_because"]) for row in candidates)
    assert (tmp_path / "problems.csv").is_file()


def test_stdout_counts_by_mechanism_and_grade(samples: Path, tmp_path: Path) -> None:
    lines = [line.split("\t") for line in trace(samples / "logs", "-o", tmp_path).stdout.splitlines()]
    assert lines[0] == ["mechanism", "A", "B", "C", "D", "E", "F", "unknown", "all"]
    assert sum(int(line[-1]) for line in lines[1:]) == len(rows(tmp_path / "lineage.csv"))
    assert all(sum(map(int, line[1:-1])) == int(line[-1]) for line in lines[1:])


def test_the_same_evidence_gives_the_same_bytes(samples: Path, tmp_path: Path) -> None:
    for name in ("one", "two"):
        trace(samples / "logs", "-o", tmp_path / name)
    for name in ("lineage.csv", "candidates.csv"):
        assert (tmp_path / "one" / name).read_bytes() == (tmp_path / "two" / name).read_bytes()


def test_filters_hide_children_and_count_them(samples: Path, tmp_path: Path) -> None:
    whole = trace(samples / "logs", "-o", tmp_path / "all")
    host = rows(tmp_path / "all" / "lineage.csv")[0]["host"]
    result = trace(samples / "logs", "-o", tmp_path / "one", "--host", host)
    shown = rows(tmp_path / "one" / "lineage.csv")
    assert {row["host"] for row in shown} == {host}
    assert {row["host"] for row in rows(tmp_path / "one" / "candidates.csv")} <= {host}
    hidden = len(rows(tmp_path / "all" / "lineage.csv")) - len(shown)
    assert f"{hidden} more outside" in result.stderr and "more outside" not in whole.stderr
    assert rows_after(samples, tmp_path, "2031-01-01") == []


def rows_after(samples: Path, tmp_path: Path, since: str) -> list[dict[str, str]]:
    trace(samples / "logs", "-o", tmp_path / "late", "--since", since)
    return rows(tmp_path / "late" / "lineage.csv")


def test_out_is_needed(samples: Path) -> None:
    assert trace(samples / "logs").exit_code == 2


def test_what_can_not_be_served_is_one_line(samples: Path, tmp_path: Path) -> None:
    result = trace(tmp_path / "absent", "-o", tmp_path / "out")
    assert (result.exit_code, len(result.stderr.splitlines())) == (2, 1)


def test_damaged_logs_are_told(samples: Path, tmp_path: Path) -> None:
    result = trace(samples / "damaged", "-o", tmp_path)
    assert result.exit_code == 3
    assert rows(tmp_path / "problems.csv")


def test_without_process_starts_nothing_can_be_told_and_that_is_no_clean_bill(samples: Path, tmp_path: Path) -> None:
    result = trace(samples / "logs" / "application.evtx", "-o", tmp_path)
    assert result.exit_code == 2
    assert result.stderr.splitlines()[-1].endswith("nothing could be told: no host logged process starts")
    assert "no event 1 of Microsoft-Windows-Sysmon/Operational" in result.stderr


def test_what_the_hosts_lacked_is_said(samples: Path, tmp_path: Path) -> None:
    result = trace(samples / "logs" / "com-starts-only.evtx", "-o", tmp_path)
    assert result.exit_code == 0
    assert "brokered grade A cannot be reached" in result.stderr


def test_results_of_a_run_are_not_mixed_with_those_of_another_command(samples: Path, tmp_path: Path) -> None:
    log = samples / "logs" / "com-starts-only.evtx"
    trace(log, "-o", tmp_path)
    CliRunner().invoke(main, ["run", "--quiet", "--jobs", "1", str(log), "-o", str(tmp_path)])
    assert not (tmp_path / "lineage.csv").exists()
    for command in ("lineage", "coverage"):
        result = CliRunner().invoke(main, [command, "--quiet", str(log), "-o", str(tmp_path)])
        assert result.exit_code == 2
        assert "holds the results of a run; name another folder" in result.stderr
