"""What a process's neighbours tell: who requested it, whether its file is signed, how old it is. Unknown is absent."""

from __future__ import annotations

import pytest

from hunt import ecs, lineage, signatures
from hunt.model import SYSMON, EventType
from tests.helpers import OUTLOOK, POWERSHELL, Row, event, moment
from tests.hunt.ecs.built import shown, whole
from tests.hunt.lineage.test_security import created
from tests.hunt.lineage.world import DCOM_LAUNCH, OTHER_LOGON, SVCHOST, brokered, loads, logon, opens, run

START = EventType(SYSMON, 1)
PARENT = "process.Ext.effective_parent."
SIGNED = "process.code_signature."


def of(image: str, *rows: Row, names: tuple[str, ...], min_grade: str | None = None) -> tuple[object, ...]:
    view = shown(whole(*rows, min_grade=min_grade), START, "process.executable", *names)
    return next(row[1:] for row in view.iter_rows() if row[0] == image)


def proven(asker: Row, child: Row) -> list[Row]:
    return [opens(asker, 1.99), opens(child, 1.999, "0x1fffff")]


WHO = (f"{PARENT}entity_id", f"{PARENT}name", f"{PARENT}executable", f"{PARENT}pid", f"{PARENT}grade")


def test_the_process_that_asked_com_is_the_effective_parent() -> None:
    asker, child = run(ProcessId="77"), brokered()
    told = of(OUTLOOK, asker, child, *proven(asker, child), names=WHO)
    assert told == (f"ws01/{asker['ProcessGuid']}", "powershell.exe", POWERSHELL, 77, "A")


def test_a_process_that_its_parent_started_itself_has_none() -> None:
    parent = run()
    child = run(OUTLOOK, 2, parent=parent)
    assert of(OUTLOOK, parent, child, names=WHO) == (None,) * 5


@pytest.mark.parametrize(("min_grade", "found"), [(None, None), ("C", None), ("D", "D"), ("F", "D"), ("A", None)])
def test_a_mere_lead_is_none_unless_it_is_asked_for(min_grade: str | None, found: str | None) -> None:
    asker, child = run(), brokered()
    assert of(OUTLOOK, asker, child, names=(f"{PARENT}grade",), min_grade=min_grade) == (found,)


def test_a_proven_client_is_one_by_default_but_not_where_better_is_asked_for() -> None:
    asker, child = run(), brokered()
    rows = (asker, child, loads(asker, 1))
    assert of(OUTLOOK, *rows, names=(f"{PARENT}grade",)) == ("C",)
    assert of(OUTLOOK, *rows, names=(f"{PARENT}name",), min_grade="B") == (None,)


def test_competitors_are_told() -> None:
    one, other, child = run(), run(at=0.5), brokered()
    rows = (one, other, child, loads(one, 1), loads(other, 1))
    assert of(OUTLOOK, *rows, names=(f"{PARENT}ambiguous", f"{PARENT}competitors")) == (True, 1)


def test_a_start_from_the_network_has_nobody_here_or_a_lead_that_says_so() -> None:
    names = (f"{PARENT}name", f"{PARENT}locality", f"{PARENT}origin")
    child, remote = brokered(TerminalSessionId="0"), logon(3, address="192.0.2.9")
    stranger = run(LogonGuid=OTHER_LOGON, LogonId="0x999")
    assert of(OUTLOOK, stranger, child, remote, names=names, min_grade="F") == (None, None, None)
    sibling = brokered(POWERSHELL, 0, "powershell.exe -Embedding")
    assert of(OUTLOOK, sibling, child, remote, names=names, min_grade="F") == ("powershell.exe", "remote", "remote")
    assert of(OUTLOOK, sibling, child, remote, names=names) == (None, None, None)


def test_what_findings_say_of_requesters_are_fields() -> None:
    for name in ecs.REQUESTER_COLUMNS.values():
        info = ecs.describe(START, name)
        assert info
        assert info.conditional
        assert set(info.also) == {*lineage.NEEDS, *lineage.READS}


def test_effective_parents_are_those_of_lineage_on_every_start() -> None:
    asker, child = run(), brokered()
    clone = [row | {"host": "WS02"} for row in (run(), brokered(at=3))]
    case = whole(asker, child, *proven(asker, child), *clone, min_grade="F")
    traced = {(row["host"], row["child_guid"]): row["requester_guid"] for row in case.lineage.collect().to_dicts()}
    starts = case.frame(*START).collect()
    view = shown(case, START, f"{PARENT}entity_id")[f"{PARENT}entity_id"]
    for host, guid, found in zip(starts["host"], starts["ProcessGuid"], view, strict=True):
        requester = traced.get((host, guid))
        assert found == (requester and f"{host.lower()}/{requester}")
    assert view.null_count() == 2


TOOL = r"C:\Users\alice\tool.exe"
FILE = (f"{SIGNED}exists", f"{SIGNED}trusted", f"{SIGNED}status", f"{SIGNED}subject_name")


def loaded(of_: Row, signed: str, status: str) -> Row:
    own = {"ProcessGuid": of_["ProcessGuid"], "Image": of_["Image"], "ImageLoaded": of_["Image"]}
    return event(7, 1, Signed=signed, SignatureStatus=status, Signature="Corp", **own)


@pytest.mark.parametrize(
    ("signed", "status", "told"),
    [
        ("true", "Valid", (True, True, "trusted", "Corp")),
        ("true", "Expired", (True, False, None, "Corp")),
        ("false", "Unavailable", (False, None, None, "Corp")),
        ("true", "Unavailable", (None, None, None, None)),
    ],
)
def test_signatures_of_processes(signed: str, status: str, told: tuple[object, ...]) -> None:
    process = run(TOOL)
    assert of(TOOL, process, loaded(process, signed, status), names=FILE) == told


def test_a_signature_that_nobody_logged_is_neither_there_nor_missing() -> None:
    assert of(TOOL, run(TOOL), names=FILE) == (None,) * 4
    info = ecs.describe(START, f"{SIGNED}exists")
    assert info
    assert info.conditional
    assert info.also == signatures.NEEDS


def test_other_events_of_a_process_know_its_signature() -> None:
    process = run(TOOL)
    other = event(3, 5, UtcTime=moment(5), ProcessGuid=process["ProcessGuid"], Image=TOOL, DestinationPort="443")
    stranger = event(3, 6, UtcTime=moment(6), ProcessGuid=process["ProcessGuid"], Image=TOOL, host="WS02")
    case = whole(other, stranger, loaded(process, "true", "Valid"))
    assert shown(case, EventType(SYSMON, 3), f"{SIGNED}trusted")[f"{SIGNED}trusted"].to_list() == [True, None]


AGE = ("process.Ext.relative_file_creation_time", "process.Ext.relative_file_name_modify_time")


def test_a_file_that_was_just_written_is_as_old_as_that() -> None:
    written = event(11, 2.5, UtcTime=moment(2.5), TargetFilename=TOOL)
    assert of(TOOL, run(TOOL, 10), written, names=AGE) == (7.5, 7.5)


def test_a_file_that_nobody_saw_written_has_no_age() -> None:
    changed = event(2, 9, UtcTime=moment(9), TargetFilename=TOOL)  # evidence of a changed time, not of an age
    later = event(11, 11, UtcTime=moment(11), TargetFilename=TOOL)
    assert of(TOOL, run(TOOL, 10), changed, later, names=AGE) == (None, None)


def test_security_tells_of_requesters_too_though_not_by_guid() -> None:
    kind = EventType("Security", 4688)
    line = "OUTLOOK.EXE -Embedding"
    creator = created(SVCHOST, -60, pid=936, CommandLine=DCOM_LAUNCH)
    asker = created(POWERSHELL, 0, pid=77, CommandLine="powershell -c outlook.application")
    child = created(OUTLOOK, 2, pid=200, creator=936, CommandLine=line, ParentProcessName=SVCHOST)
    case = whole(creator, asker, child, min_grade="F")
    asked = shown(case, kind, f"{PARENT}name", f"{PARENT}pid")
    requesters = case.lineage.collect()["requester_pid"].to_list()
    assert requesters == [77]
    assert asked.rows() == [(None, None), (None, None), ("powershell.exe", 77)]
    assert ecs.describe(kind, f"{PARENT}entity_id") is None
