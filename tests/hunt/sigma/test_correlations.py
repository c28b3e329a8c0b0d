"""Correlations and filters: rules put together, from YAML to findings."""

from __future__ import annotations

from pathlib import Path

import pytest

from hunt.model import Status
from hunt.rules.model import Loaded, Unusable
from hunt.sigma.load import load
from tests.helpers import Row, event, start
from tests.hunt.sigma.given import events, found, groups, loaded, rule, selection

AUDITING = "Microsoft-Windows-Security-Auditing"
FAILED = rule(
    selection("EventID: 4625"), "service: security", more="name: failed\nid: 6b5b1fb4-6a4c-4c60-9a5f-0d9e6d6a8f01"
)
BOTH = "[failed, success]"
SUCCESS = rule(selection("EventID: 4624"), "service: security", more="name: success")


def logon(event_id: int, at: float, user: str = "alice", ip: str = "10.0.0.1", **fields: str) -> Row:
    return event(event_id, at, channel="Security", provider=AUDITING, TargetUserName=user, IpAddress=ip, **fields)


def correlation(
    kind: str,
    rules: str = "[failed]",
    *,
    condition: str = "{gte: 3}",
    group: str = "[TargetUserName]",
    span: str = "60s",
    more: str = "",
) -> str:
    return (
        f"title: Together\ncorrelation:\n  type: {kind}\n  rules: {rules}\n  group-by: {group}\n  timespan: {span}\n"
        + (f"  condition: {condition}\n" if condition else "") + more
    )  # fmt: skip


def together(folder: Path, text: str, rows: list[Row], *rules: str) -> list[list[int]]:
    """The events of each finding of a correlation over some rules."""
    parts = loaded(folder, text, *(rules or (FAILED, SUCCESS)))
    return groups(parts[0], events(rows, parts), rows)


def test_events_are_counted_by_group_within_the_span(tmp_path: Path) -> None:
    rows = [logon(4625, at, user) for at, user in ((0, "a"), (30, "A"), (60, "a"), (61, "b"), (100, "b"), (122, "b"))]
    assert together(tmp_path, correlation("event_count"), rows) == [[0, 1, 2]]  # both ends inside, users without case
    assert together(tmp_path, correlation("event_count", condition="{gte: 2}"), rows) == [[0, 1, 2], [3, 4, 5]]
    assert together(tmp_path, correlation("event_count", condition="{lt: 3}"), rows) == [[3, 4, 5]]
    assert together(tmp_path, correlation("event_count", condition="{eq: 2}"), rows) == [[3, 4, 5]]
    assert together(tmp_path, correlation("event_count", condition="{gt: 5}", group="[]", span="2m"), rows) == []
    assert together(tmp_path, correlation("event_count", condition="{gt: 5}", group="[]", span="122s"), rows) == [
        [0, 1, 2, 3, 4, 5]
    ]


def test_an_event_without_the_field_is_of_no_group(tmp_path: Path) -> None:
    rows = [event(4625, n, channel="Security", provider=AUDITING) for n in range(5)]
    assert together(tmp_path, correlation("event_count"), rows) == []


def test_distinct_values_are_counted(tmp_path: Path) -> None:
    rows = [logon(4625, at, "a", ip) for at, ip in ((0, "1"), (1, "1"), (2, "2"), (59, "3"), (200, "4"))]
    assert together(tmp_path, correlation("value_count", condition="{gte: 3, field: IpAddress}"), rows) == [
        [0, 1, 2, 3]
    ]
    assert together(tmp_path, correlation("value_count", condition="{gte: 4, field: IpAddress}"), rows) == []


@pytest.mark.parametrize(
    ("kind", "condition", "fires"),
    [
        ("value_sum", "{gte: 60, field: Size}", True),
        ("value_sum", "{gt: 60, field: Size}", False),
        ("value_avg", "{gte: 20, field: Size}", True),
        ("value_median", "{eq: 10, field: Size}", True),
        ("value_percentile", "{gte: 40, field: Size, percentile: 100}", True),
        ("value_percentile", "{lt: 11, field: Size, percentile: 50}", True),
    ],
)
def test_numbers_are_put_together(kind: str, condition: str, fires: bool, tmp_path: Path) -> None:
    rows = [logon(4625, n, Size=size) for n, size in enumerate(("10", "0xa", "40"))]
    assert together(tmp_path, correlation(kind, condition=condition), rows) == ([[0, 1, 2]] if fires else [])


def test_all_rules_must_be_met_in_any_order(tmp_path: Path) -> None:
    rows = [logon(4624, 0, "a"), logon(4625, 50, "a"), logon(4624, 0, "b"), logon(4625, 61, "b"), logon(4625, 62, "b")]
    assert together(tmp_path, correlation("temporal", "[failed, success]", condition=""), rows) == [[0, 1]]


def test_rules_must_be_met_in_order(tmp_path: Path) -> None:
    text = correlation("temporal_ordered", "[failed, success]", condition="")
    rows = [
        logon(4624, 0, "a"),
        logon(4625, 50, "a"),
        logon(4625, 0, "b"),
        logon(4624, 60, "b"),
        logon(4625, 0, "c"),
        logon(4624, 61, "c"),
    ]
    assert together(tmp_path, text, rows) == [[2, 3]]


def test_one_event_is_no_two_steps(tmp_path: Path) -> None:
    text = correlation("temporal_ordered", "[failed, same]", condition="")
    same = rule(selection("EventID: 4625"), "service: security", more="name: same")
    assert together(tmp_path, text, [logon(4625, 0)], FAILED, same) == []
    assert together(tmp_path, text, [logon(4625, 0), logon(4625, 1)], FAILED, same) == [[0, 1]]


def test_aliases_join_fields_of_different_names(tmp_path: Path) -> None:
    parent = rule(selection("Image|endswith: '\\a.exe'"), more="name: parent")
    child = rule(selection("Image|endswith: '\\b.exe'"), more="name: child")
    text = correlation(
        "temporal_ordered", "[parent, child]", condition="", group="[process]",
        more="  aliases:\n    process: {parent: ProcessGuid, child: ParentProcessGuid}\n",
    )  # fmt: skip
    one, other = start("C:\\a.exe", 0), start("C:\\a.exe", 1)
    rows = [one, other, start("C:\\b.exe", 2, parent=one), start("C:\\b.exe", 3)]
    assert together(tmp_path, text, rows, parent, child) == [[0, 2]]


@pytest.mark.parametrize(
    ("condition", "expected"),
    [
        ("failed and not success", [[2]]),
        ("failed and success", [[0, 1]]),
        ("failed or success", [[0, 1], [2]]),
        ("not failed", []),
    ],
)
def test_a_condition_names_rules(condition: str, expected: list[list[int]], tmp_path: Path) -> None:
    text = (
        f"title: x\ncorrelation: {{type: temporal, timespan: 1m, group-by: [TargetUserName], condition: {condition}}}\n"
    )
    rows = [logon(4625, 0, "a"), logon(4624, 1, "a"), logon(4625, 0, "b")]
    assert together(tmp_path, text, rows) == expected


def test_a_correlation_may_be_about_another(tmp_path: Path) -> None:
    burst = correlation("event_count", more="name: burst\n")
    after = correlation("temporal_ordered", "[burst, success]", condition="", span="10m").replace("Together", "After")
    rows = [*(logon(4625, n, "a") for n in range(3)), logon(4624, 90, "a"), logon(4625, 0, "b"), logon(4624, 9, "b")]
    parts = loaded(tmp_path, after, burst, FAILED, SUCCESS)
    case = events(rows, parts)
    assert groups(parts[0], case, rows) == [[0, 1, 2, 3]]
    assert [found(part, case, rows) for part in parts[1:]] == [[], [], []]  # generate is not asked for


def test_rules_of_a_correlation_give_findings_only_if_it_says_so(tmp_path: Path) -> None:
    rows = [logon(4625, n) for n in range(3)]
    for more, own in (("", []), ("  generate: true\n", [0, 1, 2])):
        parts = loaded(tmp_path, correlation("event_count", more=more), FAILED)
        case = events(rows, parts)
        assert [found(part, case, rows) for part in parts] == [[0, 1, 2], own]
        silent = parts[1]
        assert isinstance(silent, Loaded)
        assert bool(silent.hunt.limits) == (not own)


def test_what_a_correlation_needs_are_its_rules_and_their_groups(tmp_path: Path) -> None:
    for text, size in (
        (correlation("temporal", "[failed, success]", condition=""), 2),
        (correlation("event_count", "[failed, success]"), 1),
    ):
        part = loaded(tmp_path, text, FAILED, SUCCESS)[0]
        assert isinstance(part, Loaded)
        assert len(part.hunt.any_of) == size
        assert {need.keys for group in part.hunt.any_of for need in group} == {frozenset({"TargetUserName"})}


@pytest.mark.parametrize(
    ("texts", "status", "says"),
    [
        ([correlation("event_count", "[nobody]")], Status.INVALID, "nobody"),
        ([correlation("event_count", "[me]", more="name: me\n")], Status.INVALID, "a rule of its own"),
        ([correlation("event_count"), FAILED.replace(": security", ": nope")], Status.UNSUPPORTED, "nope"),
        ([correlation("temporal_ordered", BOTH, condition="failed and not success")], Status.UNSUPPORTED, "order"),
        ([correlation("temporal_ordered", BOTH, condition="{gte: 1}")], Status.UNSUPPORTED, "order"),
    ],
)
def test_a_correlation_that_can_not_be_run_says_why(
    texts: list[str], status: Status, says: str, tmp_path: Path
) -> None:
    part = loaded(tmp_path, *texts)[0]
    assert isinstance(part, Unusable)
    assert part.error.status is status
    assert says in part.error.reason


def test_parts_in_the_file_of_a_correlation_are_no_queries(tmp_path: Path) -> None:
    parts = loaded(tmp_path, "\n---\n".join((correlation("event_count"), FAILED)))
    assert [part.info.title for part in parts] == ["Together"]


def test_a_rule_that_is_left_out_still_serves_a_correlation(tmp_path: Path) -> None:
    loaded(tmp_path, correlation("event_count"), FAILED)
    rows = [logon(4625, n) for n in range(3)]
    (part,) = load(sorted(tmp_path.iterdir()), lambda info: info.title == "Together")
    assert groups(part, events(rows, [part]), rows) == [[0, 1, 2]]


FILTER = """\
title: Ours
logsource: {category: process_creation, product: windows}
filter:
  rules: RULES
  admin: {User|endswith: '\\admin'}
  condition: not admin
"""


@pytest.mark.parametrize(
    ("rules", "filtered"), [("any", [True, True]), ("[one]", [True, False]), ("[nobody]", [False, False])]
)
def test_a_filter_leaves_out_what_it_says_of_the_rules_that_it_names(
    rules: str, filtered: list[bool], tmp_path: Path
) -> None:
    texts = [rule(selection("Image|endswith: cmd.exe"), more=f"name: {name}") for name in ("one", "two")]
    other = rule(selection("Image|endswith: cmd.exe"), "category: image_load")
    parts = loaded(tmp_path, *texts, FILTER.replace("RULES", rules), other)
    assert len(parts) == 3  # a filter is no query
    rows = [start("cmd.exe", 0, User="X\\admin"), start("cmd.exe", 1, User="X\\bob"), start("cmd.exe", 2, User=None)]
    case = events(rows, parts)
    assert [found(part, case, rows) == [1, 2] for part in parts[:2]] == filtered
    assert [bool(part.hunt.limits) for part in parts[:2] if isinstance(part, Loaded)] == filtered


def test_a_broken_filter_is_told(tmp_path: Path) -> None:
    (part,) = loaded(tmp_path, FILTER.replace("  condition: not admin\n", "").replace("RULES", "any"))
    assert isinstance(part, Unusable)
    assert part.error.status is Status.INVALID
