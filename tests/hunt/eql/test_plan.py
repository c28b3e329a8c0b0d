"""What a query reads, decided before any event is: event types, fields, and why nothing could meet it."""

from __future__ import annotations

import pytest

from hunt import ecs
from hunt.eql.explained import lines
from hunt.eql.parser import parse
from hunt.eql.plan import Plan, also, compile, needs
from hunt.model import SYSMON, EventType, Status
from hunt.rules.model import RuleError
from tests.hunt.eql.worlds import World

WORLD = World(
    [
        {"category": "process", "name": "x", "line": "x", "l": ["x"], "time": 1},
        {"category": "file", "name": "x", "path": "x", "time": 2},
        {"category": "network", "ip": "10.0.0.1", "time": 3},
    ],
    {"ip": "ip", "l": "many:text"},
)
PROCESS, FILE, NETWORK = (EventType("c", n) for n in (1, 2, 3))


def plan(query: str) -> Plan:
    return compile(parse(query), WORLD)


def kinds(query: str) -> list[list[EventType]]:
    return [[reading.kind for reading in step.readings] for step in plan(query).every]


@pytest.mark.parametrize(
    ("query", "read"),
    [
        ("process where true", [[PROCESS]]),
        ("any where true", [[PROCESS, FILE, NETWORK]]),
        ('any where event.category == "file"', [[FILE]]),
        ('any where event.code in ("1", "3")', [[PROCESS, NETWORK]]),
        ('any where event.code : "2"', [[FILE]]),
        ('any where not event.category : ("FILE", "net*")', [[PROCESS]]),
        ('any where name : "a*"', [[PROCESS, FILE]]),
        ('any where name == "a" and path == "b"', [[FILE]]),
        ('any where not (name == "a" and path == "b")', [[PROCESS, FILE, NETWORK]]),
        ('any where name == null', [[PROCESS, FILE, NETWORK]]),
        ('process where not path : "x"', [[PROCESS]]),
        ('any where event.category == "file" and name == "a" or line == "b"', [[PROCESS, FILE]]),
        ('sequence by name [process where true] [any where true] until [file where true]',
         [[PROCESS], [PROCESS, FILE], [FILE]]),
        ('sequence by ?name [process where true] [any where true]', [[PROCESS], [PROCESS, FILE, NETWORK]]),
    ],
)  # fmt: skip
def test_only_event_types_that_can_match_are_read(query: str, read: list[list[EventType]]) -> None:
    assert kinds(query) == read


def test_only_fields_that_decide_are_read() -> None:
    (step,) = plan('any where event.category == "process" and name : "a" and (event.code == "1" or path : "b")').steps
    assert step.readings[0].fields == {"name"}
    (need,) = needs(step, WORLD)
    assert (need.event_type, need.columns, need.keys) == (PROCESS, {"name"}, {"name"})


@pytest.mark.parametrize(
    ("condition", "vital"),
    [
        ('name : "a" and line : "b"', {"name", "line"}),
        ('name : "a" or line : "b"', set()),
        ('name : "a" and (line : "b" or name : "c" and line == "d")', {"name", "line"}),
        ('name : "a" and not line : "b"', {"name"}),
        ("name == null and line != null", {"line"}),
        ('l : "x" and length(name) > 3', {"l", "name"}),
    ],
)
def test_a_need_names_the_fields_without_which_nothing_matches(condition: str, vital: set[str]) -> None:
    (need,) = needs(plan(f"process where {condition}").steps[0], WORLD)
    assert need.keys == vital


@pytest.mark.parametrize(
    ("query", "why"),
    [
        ("registry where true", "no mapped event is of the category registry"),
        ('process where path : "x"', "no mapped event that could meet it has path"),
        ('any where gone : "x" and lost : "y"', "no mapped event that could meet it has gone, lost"),
        ('any where event.code == "4"', "no mapped event has the event.code that it asks for"),
        ("any where false", "nothing meets its condition"),
        ("sequence by name [process where true] [network where true]",
         "step 2: no mapped event that could meet it has name"),
        ("sequence with maxspan=1s [process where true] ![registry where true]",
         "step 2: no mapped event is of the category registry"),
    ],
)  # fmt: skip
def test_what_no_event_can_meet_is_not_evaluable_and_says_why(query: str, why: str) -> None:
    with pytest.raises(RuleError) as caught:
        plan(query)
    assert (caught.value.status, caught.value.reason) == (Status.NOT_EVALUABLE, why)


@pytest.mark.parametrize(
    ("query", "limits"),
    [
        ('process where name : "a" and not path : "b"', ["never excludes by path: no event that it reads has it"]),
        ('process where name : "a" and path != "b"', ["never excludes by path: no event that it reads has it"]),
        ('process where name : "a" or gone : "b"', ["never matches by gone: no event that it reads has it"]),
        ('process where name : "a" or ?gone : "b"', []),
        ('any where name : "a" and not path : "b"', []),  # a file event has it
        ('file where name : "a" and not path : "b"', []),
        ('sequence [process where not gone : "a"] [file where true]',
         ["step 1: never excludes by gone: no event that it reads has it"]),
        ("sequence [process where true] [file where true] until [registry where true]",
         ["never ends at its until: no mapped event is of the category registry"]),
    ],
)  # fmt: skip
def test_what_it_cannot_tell_on_any_evidence_is_said(query: str, limits: list[str]) -> None:
    assert list(plan(query).limits) == limits


def test_two_fields_of_several_values_in_one_test_are_refused() -> None:
    two = World([{"l": ["x"], "m": ["y"], "time": 1}], {"l": "many:text", "m": "many:text"})
    with pytest.raises(RuleError, match="several values"):
        compile(parse("any where l == m"), two)


def test_a_plan_in_words() -> None:
    query = (
        'sequence by name with maxspan=1.5s [process where line : ("a*", "b") and event.code == "1"] ![file where true]'
    )
    said = list(lines(plan(query.replace("1.5s", "1500ms"))))
    assert said == [
        "a sequence of 2 steps within 1.5 s",
        "step 1: process event, by name",
        '  event 1 of c: line : ("a*", "b")',
        "step 2: no file event, by name",
        "  event 2 of c: every one",
    ]


def test_over_the_real_map_constants_decide() -> None:
    made = compile(
        parse('process where host.os.type == "windows" and event.type == "start" and process.name : "x"'), ecs
    )
    assert EventType(SYSMON, 1) in {reading.kind for reading in made.steps[0].readings}
    assert EventType(SYSMON, 5) not in {reading.kind for reading in made.steps[0].readings}
    (need,) = [n for n in needs(made.steps[0], ecs) if n.event_type == EventType(SYSMON, 1)]
    assert (need.columns, need.keys) == ({"Image"}, {"Image"})


def test_inferred_fields_bring_what_they_are_inferred_from() -> None:
    made = compile(parse('process where process.Ext.effective_parent.name : "x.exe"'), ecs)
    assert (SYSMON, 10) in {(need.channel, need.event_id) for need in also(made, ecs)}
