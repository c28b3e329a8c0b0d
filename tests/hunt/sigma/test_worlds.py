"""Random rules over random events: the engine agrees with rules that are read row by row."""

from __future__ import annotations

from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from sigma.collection import SigmaCollection

from hunt.model import SYSMON, EventType
from hunt.sigma import engine, plan, tree
from hunt.sigma.parse import documents
from hunt.sigma.steps import Steps
from tests.helpers import Row, event
from tests.hunt.sigma import oracle
from tests.hunt.sigma.given import events

WORDS = (
    "cmd",
    "CMD.exe",
    "\\cmd.exe",
    "a",
    "ab",
    "",
    "abcab",
    "bca",
    "Äbc",
    "x y z",
    "0x10",
    "16",
    "10.1.2.3",
    "a*b",
    "\n",
)
FIELDS = ("Image", "CommandLine", "ParentImage", "Company")
KIND = EventType(SYSMON, 1)

_word = st.one_of(st.sampled_from(WORDS), st.lists(st.sampled_from(WORDS), min_size=2, max_size=3).map("".join))
_wild = st.lists(st.sampled_from((*WORDS, "*", "?", "*", "\\*")), min_size=1, max_size=4).map("".join)
_regex = st.sampled_from(("a.*b", "^cmd", r"(?i)cmd\.exe$", "[a-c]{2,}", "(ab|bc)a?", r"\bx\b", "a$"))
_MODIFIERS = ("", "|contains", "|startswith", "|endswith", "|contains|all", "|contains|cased", "|neq")
_item = st.one_of(
    st.tuples(st.sampled_from(_MODIFIERS), _wild | st.lists(_wild, min_size=1, max_size=3)),
    st.tuples(st.sampled_from(("|re", "|re|i")), _regex),
    st.tuples(st.just("|exists"), st.booleans()),
    st.tuples(st.sampled_from(("|gt", "|lte", "")), st.integers(0, 20)),
    st.tuples(st.just("|fieldref"), st.sampled_from(FIELDS)),
    st.tuples(st.just(""), st.none()),
    st.tuples(st.just("|cidr"), st.just("10.0.0.0/8")),
)  # fmt: skip
_map = st.dictionaries(st.sampled_from(FIELDS), _item, min_size=1, max_size=3).map(
    lambda items: {f"{field}{modifier}": value for field, (modifier, value) in items.items()}
)
_keywords = st.lists(_wild.filter(lambda text: bool(text.strip("*"))), min_size=1, max_size=2)
_rule = st.builds(
    lambda a, b, c, condition: {
        "title": "x",
        "logsource": {"category": "process_creation", "product": "windows"},
        "detection": {"a": a, "b": b, "c": c, "condition": condition},
    },
    _map,
    st.one_of(_map, st.lists(_map, min_size=1, max_size=2)),
    st.one_of(_map, _keywords),
    st.sampled_from(
        ("a", "a and not b", "a or (b and not c)", "not c", "1 of them", "all of them", "not (a or b) and c")
    ),
)
_event = st.fixed_dictionaries({field: st.one_of(st.none(), _word) for field in FIELDS})


@given(st.lists(_rule, min_size=1, max_size=5), st.lists(_event, min_size=1, max_size=8))
@settings(max_examples=25)
def test_the_engine_agrees_with_rules_read_row_by_row(rules: list[dict[str, Any]], given_rows: list[Row]) -> None:
    import yaml

    rows = [event(1, n, **row) for n, row in enumerate(given_rows)]
    frame = events(rows).frame(*KIND).collect()
    trees, theirs = {}, {}
    records = list(oracle.records(frame, KIND))
    for number, asked in enumerate(rules):
        (document,) = documents(yaml.safe_dump(asked).encode())
        assert document.fault is None, document.fault
        assert document.tree is not None
        trees[number] = plan.bind(document.tree, document.logsource).trees.get(KIND, tree.FALSE)
        meets = oracle.matcher(SigmaCollection.from_dicts([asked]).rules[0])
        theirs[number] = [row for row, record in enumerate(records) if meets(record)]
    ours = {}
    for rule, judged in engine.evaluate(Steps(trees), frame):
        assert isinstance(judged, engine.Judged), judged
        assert judged.untold.size == 0
        ours[rule] = list(judged.rows)
    assert ours == {rule: found for rule, found in theirs.items() if found}
