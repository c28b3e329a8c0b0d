"""Runs that have too little memory: the same results host by host, or a reason why not."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import cloudpickle
import polars as pl
import pytest
from click.testing import CliRunner

from hunt import hunting, pipeline, shares, spill
from hunt.cli import main
from hunt.eql.load import of_text
from hunt.errors import HuntError
from hunt.events import Events
from hunt.hunting import Failure, Hunted, Stage
from hunt.model import SYSMON, EventType, Hunt, Need, QueryResult, Report, Severity, Status, Unknown
from hunt.output import _files
from hunt.parts import Together
from hunt.room import LEAST, Room
from hunt.rules.model import Loaded, RuleInfo
from hunt.shares import Agreed, Share
from hunt.spill import Spilled
from samples.evtx_writer import Event, sysmon_event, sysmon_process, write_log
from tests.helpers import OUTLOOK, POWERSHELL, ROOT, batch, case, event, start

LARGE = 1 << 40
ROOMY = Room(LARGE, LARGE, LARGE, LARGE)
OUTS = ("findings.csv", "events.csv", "queries.csv", "coverage.csv", "story.csv", "problems.csv")
CMD = r"C:\Windows\System32\cmd.exe"
WSCRIPT = r"C:\Windows\System32\wscript.exe"


def run(*paths: Path, room: Room = ROOMY, **request: Any) -> Report:
    return pipeline.run(pipeline.Request(paths, room=room, **request))


def told(report: Report, out: Path) -> dict[str, bytes]:
    """What a run writes."""
    out.mkdir()
    _files.write_folder(report, out, datetime(2026, 1, 1, tzinfo=UTC))
    return {name: (out / name).read_bytes() for name in OUTS}


def shapes(monkeypatch: pytest.MonkeyPatch) -> list[tuple[int, int]]:
    """Of each run that spills: how many parts it had, and how many were too large."""
    met: list[tuple[int, int]] = []
    cut = Spilled._cut

    def counted(self: Spilled) -> list[spill._Cut]:
        cuts = cut(self)
        met.append((len(cuts), sum(one.size > self._room.part for one in cuts)))
        return cuts

    monkeypatch.setattr(Spilled, "_cut", counted)
    return met


# What hosts have in common: administrators, people, signed files, copies of a log, a cloned machine.
SAMPLES = (
    *("Archive-overlap-2026-03-02-09-15-00-000", "overlap-live", "clone-a", "clone-b", "exchange-export"),
    *("collection-local", "unsigned-new"),
)


# Hunts of all stages: on each host, across hosts, of starts, of signed files, of people, of baselines.
QUERIES = (
    *("outlook-script-host", "outlook-com-activation", "outlook-unusual-requester", "outlook-mapi-load"),
    *("exchange-mail-role", "exchange-mailbox-export", "collection-mail-file-opened", "collection-outlook-writes"),
    *("collection-new-destination", "collection-chain"),
)


def test_samples_give_the_same_bytes_whether_they_fit_into_memory_or_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    paths = [ROOT / "samples" / "logs" / f"{name}.evtx" for name in SAMPLES]
    met = shapes(monkeypatch)
    monkeypatch.setattr(pipeline, "with_foundations", lambda chosen: chosen)  # a few of them do
    roomy = run(*paths, stories=True, queries=QUERIES)
    small = run(*paths, room=Room(LARGE, 1, 35_000, LARGE), stories=True, queries=QUERIES)
    assert [count > 1 for count, _ in met] == [True]
    assert set(QUERIES) <= set(roomy.findings["query"])
    one, two = told(roomy, tmp_path / "roomy"), told(small, tmp_path / "small")
    assert {name for name in OUTS if one[name] != two[name]} == set()
    assert roomy.unparsed == small.unparsed


def started(host: str, *, at: int = 0, size: int = 0, record_id: int = 10) -> list[Event]:
    """Outlook, started by a script host; `size`: characters of a value that another query reads."""
    clock = f"2026-03-02 08:15:{at:02d}"
    parent = sysmon_process(Image=WSCRIPT, time=clock, host=host, record_id=record_id)
    child = sysmon_process(
        Image=OUTLOOK, time=f"2026-03-02 08:15:{at + 1:02d}", host=host, parent=parent, record_id=record_id + 1
    )
    value = "HKU\\S-1-5-21-1\\Software\\" + "x" * size
    written = sysmon_event(13, time=clock, host=host, record_id=record_id + 2, Image=CMD, TargetObject=value)
    return [parent, child, *([written] if size else [])]


def test_a_host_that_is_too_large_is_hunted_in_with_the_columns_of_each_query(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_log(tmp_path / "a.evtx", [*started("WS01", size=20_000), *started("WS02")])
    write_log(tmp_path / "b.evtx", started("WS01", size=20_000), exported=False)  # the same records once more
    met = shapes(monkeypatch)
    queries = ["outlook-script-host", "outlook-persistence"]
    small = run(tmp_path, room=Room(1000, 1, 10_000, LARGE), queries=queries)
    assert met == [(2, 1)]
    roomy = run(tmp_path, queries=queries)
    assert small.findings.equals(roomy.findings)
    assert small.events.equals(roomy.events)
    assert roomy.findings["sources"].to_list() == [["a.evtx", "b.evtx"], ["a.evtx"]]
    (written, outlook) = sorted(small.queries, key=lambda query: query.query)
    assert outlook.status == Status.RAN == next(q for q in roomy.queries if q.query == outlook.query).status
    assert (written.status, written.hosts_not_evaluable) == (Status.NOT_EVALUABLE, ("WS01", "WS02"))
    assert "needs about" in written.reason
    assert "at once; --memory allows 1 MiB" in written.reason


def test_a_hunt_that_builds_on_one_that_had_no_room_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    first = Hunt("first", "A start", Severity.LOW, 21, ("T1114",), (Need(SYSMON, 1, frozenset()),), _starts)
    second = replace(first, id="second", stage=2, find=lambda case_: _starts(case_).limit(0))
    events = case(start(POWERSHELL))
    refused = Room(1000, 1, 1, 1).refuse(7)
    monkeypatch.setattr(
        Events, "for_hunts", lambda _, hunts: iter([(refused if hunts[0].stage == 1 else events, hunts)])
    )
    hunted = hunting.run(Together(events), [first, second], hunting.Quiet(), lambda found: found)
    of_second = hunted.judged(replace(RAN, query="second"))
    assert of_second.status == Status.PARTLY
    assert of_second.reason.endswith("memory had no room on some hosts: first")


def test_what_two_hunts_ask_is_counted_by_host_though_one_of_them_looks_across_hosts() -> None:
    reads = Need(SYSMON, 1, frozenset())
    told_of = pl.LazyFrame({"host": ["WS01"], "unknown": [2], "total": [3]})
    shared = Unknown("not answered", lambda _: told_of, (reads,))
    first = Hunt("first", "A start", Severity.LOW, 21, ("T1114",), (reads,), _starts, unknowns=(shared,))
    across = replace(first, id="across", across_hosts=True)

    class NoRoom(Together):
        def whole(self, needs: Iterable[Need]) -> Events:
            raise Room(1000, 1, 1, 1).refuse(7)

    counted = hunting.counted(NoRoom(case(start(POWERSHELL)), undivided=False), [first, across])
    assert (dict(counted.rows), counted.why) == ({shared: [("WS01", 2, 3)]}, "")


def test_a_query_that_looks_across_hosts_and_has_no_room_says_so(tmp_path: Path) -> None:
    write_log(tmp_path / "a.evtx", [*started("WS01"), *started("WS02")])
    text = 'sequence with maxspan=1h [process where process.name == "wscript.exe"] [process where true]'
    small = run(tmp_path, room=Room(1000, 1, 500, 1), eql=text)
    (query,) = small.queries
    assert query.status == Status.NOT_EVALUABLE
    assert query.reason.startswith("looks across hosts, needs about ")
    assert query.hosts_not_evaluable == ("WS01", "WS02")
    roomy, apart = run(tmp_path, eql=text), run(tmp_path, eql=text, room=Room(LARGE, 1, 500, LARGE))
    assert roomy.findings.height > 0
    assert apart.findings.equals(roomy.findings)
    assert apart.events.equals(roomy.events)


@pytest.mark.parametrize(
    ("text", "across"),
    [
        ("process where true", False),
        ("process where true | head 1", True),
        ("sequence [process where true] [file where true]", True),
        ("sequence by host.id [process where true] [file where true]", False),
        ("sequence by user.name, process.entity_id [process where true] [file where true]", False),
        ("sequence by ?process.entity_id [process where true] [file where true]", True),
        ("sequence by user.name [process where true] [file where true]", True),
        ("sequence [process where true] by host.name [file where true] by user.name", True),
        ("sample by host.name [process where true] [file where true]", False),
    ],
)
def test_eql_looks_across_hosts_unless_its_keys_hold_the_host(text: str, across: bool) -> None:
    rule = of_text(text, RuleInfo(Path("a.eql")))
    assert isinstance(rule, Loaded), rule
    assert rule.hunt.across_hosts == across


@pytest.mark.parametrize(("group", "across"), [("Computer", False), ("User", True)])
def test_a_correlation_looks_across_hosts_unless_it_is_grouped_by_them(
    tmp_path: Path, group: str, across: bool
) -> None:
    from hunt.sigma.load import load

    path = tmp_path / "a.yml"
    path.write_text(
        f"title: A start\nname: one\nlogsource:\n  product: windows\n  category: process_creation\n"
        f"detection:\n  selection:\n    Image: x\n  condition: selection\n---\ntitle: Many\n"
        f"correlation:\n  type: event_count\n  rules: [one]\n  group-by: [{group}]\n  timespan: 1h\n"
        f"  condition:\n    gte: 3\n"
    )
    (many,) = load([path])
    assert isinstance(many, Loaded), many
    assert many.hunt.across_hosts == across


def test_copies_that_were_written_at_different_times_are_one_event(tmp_path: Path) -> None:
    for name in "abc":  # each file is read by itself
        write_log(tmp_path / f"{name}.evtx", started("WS01"))
    whole = run(tmp_path, room=Room(LARGE, 1, LARGE, LARGE), queries=["outlook-script-host"])
    assert whole.findings["sources"].to_list() == [["a.evtx", "b.evtx", "c.evtx"]]
    assert whole.findings.equals(run(tmp_path, queries=["outlook-script-host"]).findings)


def test_what_is_copied_is_made_one_row_before_anything_is_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(16):
        write_log(tmp_path / f"{number:02d}.evtx", started("WS01"))
    monkeypatch.setattr(spill, "written", lambda *_: pytest.fail("nothing need be written"))
    few = run(tmp_path, room=Room(LARGE, 12_000, LARGE, LARGE), queries=["outlook-script-host"])
    assert few.findings.equals(run(tmp_path, queries=["outlook-script-host"]).findings)
    assert few.findings["sources"][0].len() == 16


def spilled(folder: Path) -> list[Path]:
    return [path for path in folder.rglob("*") if path.is_file()]


def test_nothing_is_left_in_the_temporary_folder_however_it_ends(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    logs, temporary = tmp_path / "logs", tmp_path / "tmp"
    logs.mkdir()
    temporary.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(temporary))
    write_log(logs / "a.evtx", [*started("WS01"), *started("WS02")])
    met: list[int] = []

    def looked(*_: object) -> Any:
        met.append(len(spilled(temporary)))
        raise KeyboardInterrupt

    monkeypatch.setattr(hunting, "run", looked)
    with pytest.raises(KeyboardInterrupt):
        run(logs, room=Room(LARGE, 1, 500, LARGE))
    assert met[0] > 0
    assert [*temporary.iterdir()] == []


def test_a_disk_that_is_too_full_is_told_before_it_is_written_to(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_log(tmp_path / "a.evtx", started("WS01"))
    usage = type("Usage", (), {"free": 1 << 20})
    monkeypatch.setattr("shutil.disk_usage", lambda _: usage)
    with pytest.raises(HuntError, match=r"--memory .* 1 MiB free; TMPDIR names another folder"):
        run(tmp_path, room=Room(LARGE, 1, LARGE, LARGE))


def test_a_write_that_fails_is_told_in_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_log(tmp_path / "a.evtx", started("WS01"))

    def full(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(pl.DataFrame, "write_parquet", full)
    with pytest.raises(HuntError, match="no room in memory can't be written: No space left on device"):
        run(tmp_path, room=Room(LARGE, 1, LARGE, LARGE))


def test_less_memory_than_it_takes_is_refused() -> None:
    refused = CliRunner().invoke(main, ["run", "nowhere", "--memory", "100M"])
    assert (refused.exit_code, refused.stderr) == (2, "hunt: --memory: 512M is the least that a run takes\n")
    with pytest.raises(HuntError, match=r"--memory: 512M is the least"):
        Room.of(LEAST - 1)
    least, more = Room.of(LEAST), Room.of(1 << 30)
    assert 0 < least.part < more.part < more.memory
    assert 0 < least.waiting < more.waiting


# What parts have in common.


def test_a_file_that_is_signed_on_another_host_is_signed() -> None:
    load = event(
        7, host="WS02", ProcessGuid="{1}", Image="C:\\x.exe", ImageLoaded="C:\\x.exe", Hashes=f"SHA256={'A' * 64}",
        Signed="true", SignatureStatus="Valid", Signature="Contoso",
    )  # fmt: skip
    known = batch(load)
    agreed = Agreed()
    agreed.add(known)
    assert agreed.signed().rows() == [("a" * 64, "valid", "Contoso")]
    part = Events((), share=Share(frozenset({"ws01"}), rest=False), agreed=agreed)
    assert part.signed_elsewhere is not None
    assert part.signed_elsewhere.height == 1


def test_a_part_has_the_columns_and_types_of_all_events() -> None:
    one = batch(event(1, host="WS01", Image="a"))
    two = batch(event(1, host="WS02", Image="b", Other="c"), event(1, host="WS02", provider="x", ProcessId="7"))
    whole, agreed = Events(), Agreed()
    for met in (one, two):
        whole.add(met)
        agreed.add(met)
    part = Events((), share=Share(frozenset({"ws01"}), rest=False), agreed=agreed)
    part.put({kind: [frame] for kind, frame in one.frames.items()}, counted=whole)
    theirs = whole.frame(SYSMON, 1).collect()
    assert part.frame(SYSMON, 1).collect().equals(theirs.filter(pl.col("host") == "WS01"))
    assert part.hosts() == ("WS01",)


def test_shares_hold_each_host_once_and_one_holds_the_rest() -> None:
    rest, own = Share(frozenset({"ws02"}), rest=True), Share(frozenset({"ws02"}), rest=False)
    hosts = pl.DataFrame({"host": ["WS01", "ws02", "WS02", None, ""]})
    assert [rest.of(hosts)["host"].to_list(), own.of(hosts)["host"].to_list()] == [["WS01", None, ""], ["ws02", "WS02"]]
    assert (rest.meets(["ws02"]), rest.meets(["unheard of"]), own.meets(["ws02"])) == (False, True, True)
    assert hosts.select(shares.host_key())["host"].to_list() == ["ws01", "ws02", "ws02", "", ""]


# What becomes of a query.

RAN = QueryResult("q", "Q", "q.py", Status.RAN, "", ("A", "B"), ("C",), 0)


def judged(*failures: Failure) -> QueryResult:
    none = pl.DataFrame()
    return Hunted(none, none, list(failures), hunting.Counted({}), 0).judged(RAN)


def test_what_fails_on_some_hosts_is_partly_and_on_all_not_evaluable() -> None:
    on_a = Failure("q", Status.NOT_EVALUABLE, "too large", frozenset({"a"}), size=7)
    on_b = Failure("q", Status.NOT_EVALUABLE, "larger", frozenset({"b"}), size=9)
    nowhere = replace(on_a, hosts=frozenset({"c"}))  # where it could not have run
    partly = judged(on_a)
    assert (partly.status, partly.hosts_ran, partly.hosts_not_evaluable) == (Status.PARTLY, ("B",), ("A", "C"))
    assert partly.reason == "on 1 of 2 hosts not evaluable: too large"
    assert judged(nowhere) == RAN
    both = judged(on_a, on_b)
    assert (both.status, both.hosts_ran, both.reason) == (Status.NOT_EVALUABLE, (), "larger")
    assert judged(replace(on_a, hosts=frozenset())).status == Status.NOT_EVALUABLE


def test_events_that_could_not_be_told_in_time_are_counted_over_all_parts() -> None:
    some = [Failure("q", Status.PARTLY, "", frozenset({host}), number) for host, number in (("a", 1), ("b", 2))]
    partly = judged(*some)
    assert (partly.status, partly.hosts_ran) == (Status.PARTLY, ("A", "B"))
    assert partly.reason.startswith("whether 3 more events match could not be told in time")


def test_events_that_name_no_host_and_have_no_room_are_told_of() -> None:
    some = judged(Failure("q", Status.NOT_EVALUABLE, "too large", frozenset({""}), size=7))
    assert (some.status, some.hosts_ran) == (Status.PARTLY, ("A", "B"))
    assert some.reason == "on 1 of 3 hosts not evaluable: too large"


# Work that can be sent to another process.


def _starts(case_: Any) -> pl.LazyFrame:
    from hunt.findings import reference

    return case_.frame(SYSMON, 1).select("host", start="time", end="time", events=pl.concat_list(reference(1)))


def test_work_and_what_it_gives_can_be_sent() -> None:
    need = Need(SYSMON, 1, frozenset({"Image"}))
    hunts = [Hunt("first", "A start", Severity.LOW, 21, ("T1114",), (need,), lambda case_: _starts(case_))]
    stage = Stage(hunts, None, hunting.Unknowns(()), turns=hunting.Quiet())
    sent = cloudpickle.loads(cloudpickle.dumps(stage))
    events = case(start(POWERSHELL))
    there, here = cloudpickle.loads(cloudpickle.dumps(sent(events))), stage(events)
    assert there.told.equals(here.told)
    assert (there.told.height, there.counts, there.unparsed) == (1, hunting.Counts(()), 0)
    assert cloudpickle.loads(cloudpickle.dumps(Agreed(kinds={("a", 1): EventType("A", 1)}))).kinds == {
        ("a", 1): EventType("A", 1)
    }
