"""A case is read as the evidence that it was made from: the same events, the same results, the same damage."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path

import fsspec
import polars as pl
import pytest
from click.testing import CliRunner

import hunt
from hunt import pipeline, schema
from hunt.cli import main
from hunt.errors import HuntError
from hunt.model import SYSMON, Batch, EventType, Opening, Problem, Progress, Reading, Wants
from hunt.output import _files
from hunt.reading import collect, read
from hunt.room import Room
from hunt.store import ingest, layout, manifests
from hunt.store.parser import Stored
from samples.evtx_writer import Event, sysmon_process, write_log
from tests.helpers import OUTLOOK, POWERSHELL, ROOT, Frames, differences

LOGS = ROOT / "samples" / "logs"
# Copies of events in two logs, forwarded and rendered ones, hostile texts, other channels, what is damaged.
SOME = ["Archive-overlap-2026-03-02-09-15-00-000.evtx", "overlap-live.evtx", "forwarded.evtx", "hostile-text.evtx",
        "odd-case.evtx", "mail-theft.evtx", "powershell.evtx"]  # fmt: skip


def brought(case: Path | str, *evidence: Path, slack: bool = False) -> str:
    ingest.ingest(ingest.Asked(evidence, str(case), slack=slack))
    return str(case)


def taken(
    evidence: Sequence[Path], cases: Sequence[str] = (), reading: Reading | None = None
) -> tuple[Frames, list[Problem]]:
    """All events of evidence, by their types, in order of source and offset; and what could not be read."""
    met: dict[EventType, list[pl.DataFrame]] = {}

    def add(batch: Batch) -> None:
        for kind, frame in batch.frames.items():
            met.setdefault(kind, []).append(frame)

    with collect(evidence, Opening(), hashed=False, cases=cases) as collected:
        _, problems = read(collected, reading or Reading(), add)
    frames = {kind: pl.concat(parts, how="diagonal").sort("source", "offset") for kind, parts in met.items()}
    return frames, sorted(problems, key=lambda problem: problem.place)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Logs, some of them damaged or without record ids, and one that stands there twice."""
    place = tmp_path_factory.mktemp("evidence") / "logs"
    place.mkdir()
    for name in SOME:
        shutil.copy(LOGS / name, place / name)
    shutil.copy(place / "mail-theft.evtx", place / "z-copy.evtx")
    torn = (LOGS / "long-log.evtx").read_bytes()
    (place / "torn.evtx").write_bytes(torn[: len(torn) // 2 + 777])
    line = {"Channel": "Security", "EventID": 4688, "Provider": "Microsoft-Windows-Security-Auditing",
            "Computer": "WS77", "TimeCreated": "2026-03-02T08:15:00Z", "NewProcessName": "a.exe"}  # fmt: skip
    (place / "export.jsonl").write_text("".join(json.dumps(line) + "\n" for _ in range(3)))
    return place


@pytest.fixture(scope="module")
def case(folder: Path) -> str:
    """What two ingests of them made, so that there is more than one lot."""
    place = folder.parent / "case"
    brought(place, folder / SOME[0])
    return brought(place, folder)


def written(out: Path, request: pipeline.Request) -> dict[str, bytes]:
    report = pipeline.run(request)
    _files.write_folder(report, out, datetime(2026, 1, 1, tzinfo=UTC))
    return {path.name: path.read_bytes() for path in out.iterdir()}


def same_results(one: dict[str, bytes], other: dict[str, bytes]) -> None:
    """Of a run on logs and of one on a case made of them; `options` are the command line's."""
    manifests = [json.loads(files.pop("manifest.json")) for files in (one, other)]
    assert [name for name in one if one[name] != other.get(name)] == []
    for told in manifests:
        told["evidence"].sort(key=lambda item: item["source"])  # logs that equal others come last
    assert [key for key in manifests[0] if manifests[0][key] != manifests[1][key]] == ["clock"]


def test_results_are_byte_for_byte_those_of_the_logs(folder: Path, case: str, tmp_path: Path) -> None:
    rule = tmp_path / "any.eql"
    rule.write_text('any where event.code in ("3", "1102", "4104", "11")')
    asked = ["outlook-script-host", str(rule)]
    of_logs = written(tmp_path / "a", pipeline.Request([folder], asked, out=tmp_path / "a"))
    of_case = written(tmp_path / "b", pipeline.Request([], asked, out=tmp_path / "b", cases=[case]))
    assert of_logs["events.csv"].count(b"\n") > 15
    small = pipeline.Request([], asked, out=tmp_path / "c", cases=[case], room=Room(1 << 40, 1, 50_000, 1 << 40))
    of_hosts = written(tmp_path / "c", small)  # which wait in files, and are looked at one after the other
    same_results(dict(of_logs), of_hosts)
    same_results(of_logs, of_case)


def test_results_of_real_logs_are_those_of_a_case_of_them(real_evidence: Path, tmp_path: Path) -> None:
    quirks = real_evidence / "quirks"
    brought(tmp_path / "case", quirks)
    asked = ["exchange-admin-logon"]
    of_logs = written(tmp_path / "a", pipeline.Request([quirks], asked, out=tmp_path / "a"))
    of_case = written(tmp_path / "b", pipeline.Request([], asked, out=tmp_path / "b", cases=[str(tmp_path / "case")]))
    same_results(of_logs, of_case)


def test_every_record_comes_with_all_its_fields(folder: Path, case: str) -> None:
    (logs, lost), (stored, told) = taken([folder]), taken([], [case])
    assert sum(frame.height for frame in stored.values()) > 100
    assert differences(logs, stored) == []
    assert told == lost != []


def test_only_what_is_wanted_comes(folder: Path, case: str) -> None:
    reading = Reading(Wants({EventType(SYSMON, 1).key: frozenset({"Image", "LogonId"})}))
    (logs, _), (stored, _) = taken([folder], reading=reading), taken([], [case], reading)
    assert [*stored] == [EventType(SYSMON, 1)]
    assert differences(logs, stored) == []


def test_single_logs_of_a_case_come_by_themselves(folder: Path, case: str) -> None:
    """As they do the careful way, file by file."""
    whole, _ = taken([folder])
    with collect([], Opening(), cases=[case]) as collected:
        for item, parser in collected.files:
            met: dict[EventType, pl.DataFrame] = {}
            for part in parser.read([item], Reading()):
                for kind, frame in part.frames.items() if isinstance(part, Batch) else ():
                    met[kind] = pl.concat([met[kind], frame], how="diagonal") if kind in met else frame
            own = {kind: frame.filter(source=item.source) for kind, frame in whole.items()}
            got = {kind: frame.sort("offset") for kind, frame in met.items()}
            for kind, frame in own.items():
                assert frame.height == (got[kind].height if kind in got else 0)
            assert sum(frame.height for frame in got.values()) == sum(frame.height for frame in own.values())


def test_the_events_of_findings_are_found_by_their_places(folder: Path, case: str) -> None:
    logs, _ = taken([folder])
    with collect([], Opening(), cases=[case]) as collected:
        parser = collected.files[0][1]
        assert isinstance(parser, Stored)
        for kind, frame in logs.items():
            asked = frame.select("channel", "event_id", "host", "time", path="source", offset="offset")
            wrong = asked.with_columns(
                time=pl.lit(None, schema.TIME), host=pl.lit("nobody")
            )  # by its place all the same
            for wanted in (asked, wrong):
                found = pl.concat([batch.frames[kind] for batch in parser.events(wanted)], how="diagonal")
                assert differences({kind: frame}, {kind: found.sort("source", "offset")}) == []


def test_progress_adds_up_to_the_sizes_of_the_logs(case: str) -> None:
    with collect([], Opening(), cases=[case]) as collected:
        files = [item for item, _ in collected.files]
        done = dict.fromkeys((item.source for item in files), 0)
        for part in collected.files[0][1].read(files, Reading()):
            if isinstance(part, Progress):
                done[part.source] += part.size
    assert done == {item.source: item.size for item in files}


@pytest.fixture
def small(tmp_path: Path) -> Path:
    start = sysmon_process(Image=POWERSHELL, time="2026-03-02 08:15:00", host="WS01")
    child = sysmon_process(Image=OUTLOOK, time="2026-03-02 08:15:02", host="WS01", parent=start)
    logon = Event("Microsoft-Windows-Security-Auditing", 4624, "Security", "WS02", "2026-03-02 08:00:00")
    place = tmp_path / "in"
    place.mkdir()
    write_log(place / "a.evtx", [start, child, logon])
    return place


def hurt(case: str, how: str) -> Path:
    """A case whose events of Sysmon 1 are damaged."""
    file = next((Path(case) / "events" / "channel=microsoft-windows-sysmon%2foperational").rglob("*.parquet"))
    content = file.read_bytes()
    if how == "missing":
        file.unlink()
    else:
        bad = {"shorter": content[:-9], "longer": content + b"x", "zeros": bytes(len(content)),
               "torn": content[:200] + bytes(len(content) - 600) + content[-400:],
               "flipped": content[:300] + bytes([content[300] ^ 1]) + content[301:]}  # fmt: skip
        file.write_bytes(bad[how])
    return file


@pytest.mark.parametrize("how", ["missing", "shorter", "longer", "zeros", "torn", "flipped"])
def test_a_damaged_file_of_the_case_is_told_and_queries_know_what_they_lack(
    small: Path, tmp_path: Path, how: str
) -> None:
    case = brought(tmp_path / "case", small)
    file = hurt(case, how)
    result = CliRunner().invoke(main, ["run", "--case", case, "-q", "outlook-script-host", "-o", str(tmp_path / "out")])
    assert result.exit_code == 2, result.output  # the only query could not run
    assert "no process start" in result.stderr or "lacks" in result.stderr or "Sysmon" in result.stderr
    problems = (tmp_path / "out" / "problems.csv").read_text()
    assert file.name in problems
    assert "2 records of Microsoft-Windows-Sysmon/Operational 1 can't be read" in problems
    assert "not_evaluable" in (tmp_path / "out" / "queries.csv").read_text()
    if how == "flipped":  # a bit may change a text, and Parquet reads on
        assert "its SHA-256 is another one" in problems


def test_a_damaged_census_is_told(small: Path, tmp_path: Path) -> None:
    case = brought(tmp_path / "case", small)
    next((tmp_path / "case" / "lots").rglob("census.parquet")).write_bytes(b"PAR1")
    result = CliRunner().invoke(main, ["coverage", "--case", case])
    assert result.exit_code == 3
    assert "census.parquet: the counts of 1 logs can't be read" in result.stderr


def test_logs_and_cases_stand_beside_each_other_and_names_that_are_taken_say_whose_they_are(
    small: Path, tmp_path: Path
) -> None:
    case = brought(tmp_path / "case", small)
    other = tmp_path / "b.evtx"
    shutil.copy(small / "a.evtx", other)

    def sources(evidence: Sequence[Path], cases: Sequence[str] = ()) -> list[str]:
        with collect(evidence, Opening(), hashed=False, cases=cases) as collected:
            return [item.source for item, _ in collected.files]

    assert sources([other], [case]) == ["b.evtx", "a.evtx"]
    assert sources([small], [case]) == ["a.evtx", "case/a.evtx"]
    assert sources([other, Path(case)]) == ["b.evtx", "a.evtx"]
    assert sources([Path(case)], [case]) == ["a.evtx"]
    found = pipeline.run(pipeline.Request([small], ["outlook-script-host"], cases=[case])).findings
    assert found["sources"].to_list() == [["a.evtx", "case/a.evtx"]]


def test_a_case_among_evidence_is_no_folder_of_foreign_files(small: Path) -> None:
    brought(small / "case", small / "a.evtx")
    with collect([small], Opening(), hashed=False) as collected:
        assert [item.source for item, _ in collected.files] == ["a.evtx"]
        assert [(p.source, p.kind) for p in collected.problems] == [("case", "folder")]
        assert collected.skipped == ()


def test_a_file_of_that_name_makes_no_case(small: Path) -> None:
    (small / "case.json").write_text('{"format": "of somebody else"}')
    with collect([small], Opening(), hashed=False) as collected:
        assert [item.source for item, _ in collected.files] == ["a.evtx"]


def test_slack_is_told_from_what_is_live(tmp_path: Path, small: Path) -> None:
    log = ROOT / "samples" / "logs" / "clone-a.evtx"
    live, whole = brought(tmp_path / "live", log), brought(tmp_path / "whole", log, slack=True)
    for slack in (False, True):
        reading = Reading(slack=slack)
        (logs, _), (stored, _) = taken([log], reading=reading), taken([], [whole], reading)
        assert differences(logs, stored) == []
    with pytest.raises(HuntError, match="was ingested without --slack"):
        taken([], [live], Reading(slack=True))


def test_damage_in_stale_records_is_told_only_if_these_are_asked_for(real_evidence: Path, tmp_path: Path) -> None:
    log = real_evidence / "quirks" / "issue_201.evtx"
    whole = brought(tmp_path / "whole", log, slack=True)
    for slack in (False, True):
        told = [taken(logs, cases, Reading(slack=slack))[1] for logs, cases in (([log], []), ([], [whole]))]
        assert told[0] == told[1]
        assert any(problem.kind == "slack" for problem in told[1]) == slack


@pytest.fixture
def away(small: Path) -> Iterator[str]:
    where = "memory://case-that-is-read"
    yield brought(where, small)
    fsspec.filesystem("memory").rm("/case-that-is-read", recursive=True)


def test_a_case_at_a_url_is_read_as_one_that_is_here(small: Path, away: str) -> None:
    assert differences(taken([small])[0], taken([], [away])[0]) == []
    found = hunt.open(case=away).run("outlook-script-host")
    assert found.findings.select("image", "target_image").rows() == [(POWERSHELL, OUTLOOK)]
    assert json.loads(found.events["fields"][0])["Image"] == POWERSHELL


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["run"], "EVIDENCE, --case DIR or --carve FILE is needed"),
        (["coverage"], "EVIDENCE or --case DIR is needed"),
        (["tree", "--pid", "1"], "EVIDENCE or --case DIR is needed"),
        (["coverage", "--case", "nowhere"], "is no case"),
        (["coverage", "--case", ""], "the name is empty"),
        (["verify", "CASE"], "name the logs themselves"),
        (["frame", "--case", "CASE", "--all", "-o", "CASE"], "is evidence"),
        (["run", "--case", "CASE", "--log", "CASE/log"], "never written there"),
    ],
)
def test_what_can_not_be_served_is_said_in_a_line(small: Path, tmp_path: Path, arguments: list[str], said: str) -> None:
    case = brought(tmp_path / "case", small)
    result = CliRunner().invoke(main, [argument.replace("CASE", case) for argument in arguments])
    assert result.exit_code == 2
    assert said in result.stderr
    assert result.stderr.count("\n") == 1


def test_a_case_that_nothing_was_brought_into_is_no_evidence(small: Path, tmp_path: Path) -> None:
    pending = layout.Pending("a.evtx", "a.evtx", 1, "00")
    (tmp_path / "case").mkdir()
    (tmp_path / "case" / "case.json").write_bytes(manifests.case_json(layout.Case((), (pending,))))
    with pytest.raises(HuntError, match="its ingest was ended, 1 are not in"):
        taken([], [str(tmp_path / "case")])


def test_every_command_reads_a_case(small: Path, tmp_path: Path) -> None:
    case = brought(tmp_path / "case", small)
    commands = [
        ["eql", "any where true"],
        ["coverage"],
        ["tree", "--pid", "4711"],
        ["timeline"],
        ["run", "-q", "outlook-script-host"],
    ]
    for command in commands:
        of_logs = CliRunner().invoke(main, [*command, str(small)])
        of_case = CliRunner().invoke(main, [*command, "--case", case])
        assert of_logs.exit_code == of_case.exit_code, of_case.output
        assert of_logs.stdout == of_case.stdout
    for name in ("a", "b"):
        arguments = ["--case", case] if name == "b" else [str(small)]
        assert (
            CliRunner()
            .invoke(main, ["frame", *arguments, "-e", "sysmon:1", "-o", str(tmp_path / f"{name}.csv")])
            .exit_code
            == 0
        )
        assert CliRunner().invoke(main, ["lineage", *arguments, "-o", str(tmp_path / name)]).exit_code == 0
    assert sorted((tmp_path / "a.csv").read_text()) == sorted((tmp_path / "b.csv").read_text())
    assert (tmp_path / "a" / "lineage.csv").read_bytes() == (tmp_path / "b" / "lineage.csv").read_bytes()
    finding = pipeline.run(pipeline.Request([], ["outlook-script-host"], cases=[case])).findings["finding_id"][0]
    assert "POWERSHELL" in CliRunner().invoke(main, ["show-finding", finding, "--case", case]).stdout.upper()
