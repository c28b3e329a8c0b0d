"""The ATT&CK matrix of what queries cover, and `hunt queries`, which shows it."""

from __future__ import annotations

import io
import json
from dataclasses import replace

from hunt import attack
from hunt.attack import Cell, matrix
from hunt.model import SYSMON, Case, Help, Hunt, Need, Severity
from hunt.output import _catalogue
from hunt.registry import queries


def test_a_technique_stands_in_each_of_its_tactics_in_the_matrix_order() -> None:
    cells = matrix([("b", ["T1114.002", "T1098.002"]), ("a", ["T1114.002"]), ("c", ["T9999.001"])])
    delegate = "Account Manipulation: Additional Email Delegate Permissions"
    assert cells == [
        Cell("Persistence", "T1098.002", delegate, ("b",)),
        Cell("Privilege Escalation", "T1098.002", delegate, ("b",)),
        Cell("Collection", "T1114.002", "Email Collection: Remote Email Collection", ("a", "b")),
        Cell(attack.ELSEWHERE, "T9999.001", "", ("c",)),
    ]


def test_every_sub_technique_of_the_list_stands_with_its_technique_or_by_its_own_name() -> None:
    for technique in attack._NAMES:
        assert attack.name(technique)
        assert set(attack.tactics(technique)) <= set(attack.TACTICS)


def shown(kind: str, *hunts: Hunt) -> str:
    out = io.StringIO()
    _catalogue.write(hunts, kind, out)
    return out.getvalue()


def find(case: Case) -> object:
    raise AssertionError


ONE = Hunt(
    id="one",
    title="One",
    severity=Severity.LOW,
    risk_score=21,
    attack=("T1114.001",),
    needs=(Need(SYSMON, 1, frozenset({"Image"}), keys=frozenset({"Image"})),),
    find=find,  # type: ignore[arg-type]
    helps=(Help(SYSMON, 10, "nothing"), Help("Security", 4624, "nobody")),
    reads=tuple(Need(SYSMON, n, frozenset({"Image"})) for n in (1, 3, 11, 12, 13)),
    instead=(Need("Security", 4688, frozenset({"NewProcessName"})),),
)


def test_a_query_says_what_it_needs_what_may_stand_in_and_what_it_tells_more_with() -> None:
    assert shown("table", ONE) == (
        "ATT&CK\n\nCollection\n  T1114.001  Email Collection: Local Email Collection\n             one\n"
        "\nQueries: id, severity, techniques, title\n\none\tlow\tT1114.001\tOne\n"
        "  needs Microsoft-Windows-Sysmon/Operational 1\n"
        "  or, in their place, Security 4688\n"
        "  tells more with Microsoft-Windows-Sysmon/Operational 3, 10-13; Security 4624\n"
    )


def test_of_what_may_stand_for_each_other_one_is_needed() -> None:
    group = tuple(Need("Office365.UnifiedAudit", n, frozenset({"Operation"})) for n in (1, 2, 50))
    lines = shown("table", replace(ONE, needs=(), instead=(), reads=(*ONE.reads, group[0]), any_of=(group,)))
    assert "\n  needs any of Office365.UnifiedAudit 1-2, 50\n  tells more with Microsoft" in lines
    (line,) = shown("jsonl", replace(ONE, any_of=(group,))).splitlines()
    assert [need["event_id"] for need in json.loads(line)["any_of"][0]] == [1, 2, 50]


def test_of_each_query_a_program_gets_an_object() -> None:
    (line,) = shown("jsonl", ONE).splitlines()
    told = json.loads(line)
    assert told["tactics"] == ["Collection"]
    assert told["needs"] == [{"channel": SYSMON, "event_id": 1, "fields": ["Image"]}]
    assert told["helps"][1] == {"channel": "Security", "event_id": 4624, "without": "nobody"}


def test_all_queries_of_ours_are_shown_with_a_tactic_each() -> None:
    text = shown("table", *(query.hunt for query in queries()))
    assert [query.hunt.id for query in queries() if f"\n{query.hunt.id}\t" not in text] == []
    assert "T1114.002  Email Collection: Remote Email Collection" in text
