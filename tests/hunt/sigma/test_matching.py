"""What rules match: Sigma's tests on real columns, the whole way from YAML to findings."""

from __future__ import annotations

import re
from pathlib import Path

import polars as pl
import pytest

from hunt.events import Events
from hunt.model import Status
from hunt.rules.model import Loaded, PartlyError, RuleError, Unusable
from tests.helpers import Row, event, start
from tests.hunt.sigma.given import events, found, groups, loaded, matched, rule, selection

SYSTEM32 = "C:\\Windows\\System32\\"


def starts(*command_lines: str | None) -> list[Row]:
    return [start(f"{SYSTEM32}cmd.exe", n, CommandLine=text) for n, text in enumerate(command_lines)]


TEXTS: list[tuple[str, list[str | None], list[int]]] = [
    ("CommandLine: 'CMD /c*'", ["cmd /c dir", "xcmd /c dir", "CMD /C"], [0, 2]),
    ("CommandLine|contains: ÄÖ", ["x äö", "x ao", "ÄÖx"], [0, 2]),
    ("CommandLine|contains: ΣΊΣΥΦΟΣ", ["σίσυφος", "x ΣΊΣΥΦΟΣ"], [0, 1]),
    ("CommandLine|contains|cased: Foo", ["a Foo", "a foo", "FOO"], [0]),
    ("CommandLine|contains: ab", ["xaby", "AB", "a b"], [0, 1]),  # too short to be looked up
    ("CommandLine|contains: x", ["x", "y"], [0]),
    ("CommandLine|endswith: ['.exe', 'e']", ["a.exe", "a.exe ", "abcE"], [0, 2]),
    ("CommandLine|startswith: power", ["powershell", "x power", "POWER"], [0, 2]),
    ("CommandLine: ''", ["", None, " "], [0]),
    ("CommandLine: null", ["", None, " "], [1]),
    ("CommandLine|exists: true", ["", None, "x"], [0, 2]),
    ("CommandLine|exists: false", ["", None, "x"], [1]),
    ("CommandLine: '*'", ["", None, "x"], [0, 2]),
    ("CommandLine: 'a?c*e'", ["abc-e", "ac-e", "abc\ne", "xabce"], [0, 2]),
    ("CommandLine: '*foo*bar'", ["foobar", "foo x bar", "bar foo", "FOO BAR"], [0, 1, 3]),
    ("CommandLine: '*(a[b.c*'", ["x(a[b.c", "xa[bxc"], [0]),
    (r"CommandLine|re: '\d{3}$'", ["abc123", "abc12", "123 "], [0]),
    ("CommandLine|re: Foo", ["a Foo", "a foo"], [0]),
    ("CommandLine|re|i: 'foo.bar'", ["FOO-BAR", "foo\nbar"], [0]),
    ("CommandLine|re|i|s: 'foo.bar'", ["FOO-BAR", "foo\nbar"], [0, 1]),
    ("CommandLine|re|m: '^bar$'", ["foo\nbar", "foobar"], [0]),
    (r"CommandLine|re: '(?i)\bk\b'", ["a K b", "ak"], [0]),
    # What Rust's engine refuses, or takes for something else: sets in sets, word boundaries.
    (r"CommandLine|re: '[a-z[]{2}\<'", ["a[<", "ab<", "ab"], [0, 1]),
    ("CommandLine|re: '[a&&b]c'", ["&c", "bc", "xc"], [0, 1]),
    # What only Python's engine reads.
    ("CommandLine|re: '(?<!no )foo(?=bar)'", ["xx foobar", "no foobar", "xx foo bar"], [0]),
    (r"CommandLine|re: '(ab)x\1'", ["abxab", "abxba"], [0]),
    ("CommandLine|gt: 5", ["6", "5", "0x10", "x", "", "6.5"], [0, 2, 5]),
    ("CommandLine|lte: 5", ["6", "5", "-1", "nan"], [1, 2]),
    ("CommandLine: 16", ["16", "0x10", "016", "160", "", "0x"], [0, 1, 2]),
    ("CommandLine: 0", ["0", "0x0", "", "0x", "00"], [0, 1, 4]),
    ("CommandLine: 1.5", ["1.5", "1.50", "15"], [0, 1]),
    ("CommandLine|hour: 8", ["2026-03-02 08:15:00", "2026-03-02T08:15:00Z", "08:15", "2026-03-02 09:00"], [0, 1]),
    ("CommandLine|week: 10", ["2026-03-02 08:15:00", "2026-03-09 08:15:00"], [0]),
    ("CommandLine|fieldref: OriginalFileName", ["CMD.exe", "x"], [0]),
    ("CommandLine|contains|all: [one, two]", ["one two", "two one", "one"], [0, 1]),
    ("CommandLine|contains|windash: ' -enc '", ["x /enc y", "x \u2013enc y", "x enc y"], [0, 1]),
    ("CommandLine|base64offset|contains: whoami", ["eHh3aG9hbWk=", "d2hvYW1p", "whoami"], [0, 1]),
    ("CommandLine|utf16le|base64offset|contains: cmd", ["YwBtAGQA", "eABjAG0AZAA=", "Y21k"], [0, 1]),
    ("CommandLine|wide|base64: cmd", ["YwBtAGQA", "YwBtAGQAeA"], [0]),
    ("CommandLine|utf16be|base64: cmd", ["AGMAbQBk"], [0]),
    ("CommandLine|neq: x", ["x", "y", None], [1, 2]),
    (r"CommandLine|contains: '\*'", ["a*b", "ab"], [0]),
    (r"CommandLine|contains: '\\*b'", ["a\\xb", "a*b"], [0]),
    ("CommandLine|re|contains: 'f.o'", ["a foo", "fo"], [0]),
    ("CommandLine: [null, '']", [None, "", "x"], [0, 1]),
]  # fmt: skip


@pytest.fixture(scope="module")
def met(tmp_path_factory: pytest.TempPathFactory) -> list[list[int]]:
    """Of each of TEXTS the places that its test meets: all rules and rows at once, each rule on its own user's rows."""
    rules = [rule(selection(line, f"User: 'of {n}'")) for n, (line, _, _) in enumerate(TEXTS)]
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.mktemp("cache")))
        parts = loaded(tmp_path_factory.mktemp("texts"), *rules)
    rows = [
        row | {"OriginalFileName": "cmd.EXE", "User": f"of {n}", "record_id": str(1000 * n + at)}
        for n, (_, texts, _) in enumerate(TEXTS)
        for at, row in enumerate(starts(*texts))
    ]
    case = events(rows, parts)
    return [[int(rows[place]["record_id"]) % 1000 for place in found(part, case, rows)] for part in parts]


@pytest.mark.parametrize("number", range(len(TEXTS)), ids=[line for line, _, _ in TEXTS])
def test_a_test_meets_these_texts(number: int, met: list[list[int]]) -> None:
    assert met[number] == TEXTS[number][2]


@pytest.mark.parametrize(
    ("network", "addresses", "places"),
    [
        ("10.0.0.0/8", ["10.1.2.3", "11.0.0.1", "10.0.0.300", "::ffff:10.1.1.1", "-"], [0, 3]),
        ("192.168.0.0/23", ["192.168.1.255", "192.168.2.0"], [0]),
        ("fe80::/10", ["fe80::1", "FE80:0:0:0:0:0:0:1%12", "fe00::1", "10.0.0.1"], [0, 1]),
        ("0.0.0.0/0", ["1.2.3.4", "::1", ""], [0]),
        ("::1/128", ["::1", "0:0:0:0:0:0:0:1", "::2"], [0, 1]),
    ],
)
def test_an_address_lies_in_a_network(network: str, addresses: list[str], places: list[int], tmp_path: Path) -> None:
    rows = [event(3, n, DestinationIp=text) for n, text in enumerate(addresses)]
    text = rule(selection(f"DestinationIp|cidr: {network}"), "category: network_connection")
    assert matched(tmp_path, text, *rows) == places


def test_a_missing_field_meets_no_test_and_so_each_negated_one(tmp_path: Path) -> None:
    text = rule(
        "selection: {Image|endswith: cmd.exe}\nfilter: {Company|contains: contoso}\n",
        condition="selection and not filter",
    )
    rows = [start("cmd.exe", 0), start("cmd.exe", 1, Company="Contoso Ltd"), start("cmd.exe", 2, Company="")]
    assert matched(tmp_path, text, *rows) == [0, 2]


def test_numbers_are_compared_as_windows_prints_them(tmp_path: Path) -> None:
    rows = [event(10, n, GrantedAccess=text, SourceImage="x") for n, text in enumerate(("0x1410", "0x1fffff", "0x10"))]
    accesses = "category: process_access"
    assert matched(tmp_path, rule(selection("GrantedAccess: '0x1FFFFF'"), accesses), *rows) == [1]
    assert matched(tmp_path, rule(selection("GrantedAccess|endswith: '10'"), accesses), *rows) == [0, 2]
    assert matched(tmp_path, rule(selection("GrantedAccess: 5136"), accesses), *rows) == [0]
    assert matched(tmp_path, rule(selection("GrantedAccess|gt: 5000"), accesses), *rows) == [0, 1]


def test_unnamed_data_are_texts_of_which_one_must_meet_a_test(tmp_path: Path) -> None:
    rows = [
        event(1000, 0, channel="Application", Data=["one", "two"]),
        event(1000, 1, channel="Application", Data=["onetwo", ""]),
        event(1000, 2, channel="Application", Data=[]),
        event(1000, 3, channel="Application"),
    ]
    service = "service: application"
    assert matched(tmp_path, rule(selection("Data: TWO"), service), *rows) == [0]
    assert matched(tmp_path, rule(selection("Data|endswith: two"), service), *rows) == [0, 1]
    assert matched(tmp_path, rule(selection("Data|contains|all: [one, tw]"), service), *rows) == [0, 1]
    assert matched(tmp_path, rule(selection("Data: null"), service), *rows) == [2, 3]
    assert matched(tmp_path, rule(selection("Data|re: '^two$'"), service), *rows) == [0]


def test_keywords_stand_in_any_field_of_any_kind(tmp_path: Path) -> None:
    rows = [
        event(1, 0, channel="System", ServiceName="MimiKatz"),
        event(2, 1, channel="System", Data=["a", "x mimikatz y"]),
        event(3, 2, channel="System", ServiceName="kiwi", ImagePath="mimi"),
        event(4, 3, channel="System", host="MIMIKATZ-PC"),
        event(1, 4, channel="Security", ServiceName="mimikatz"),
    ]
    one = rule("keywords: [mimikatz, 'sekurlsa::']\n", "service: system", condition="keywords")
    assert matched(tmp_path, one, *rows) == [0, 1, 3]
    both = rule("keywords: {'|all': [kiwi, mimi]}\n", "service: system", condition="keywords")
    assert matched(tmp_path, both, *rows) == [2]
    across = rule("keywords: ['kiwi*mimi']\n", "service: system", condition="keywords")
    assert matched(tmp_path, across, *rows) == [2]
    short = rule("keywords: [mi]\nbut: {EventID: 3}\n", "service: system", condition="keywords and not but")
    assert matched(tmp_path, short, *rows) == [0, 1, 3]
    everywhere = rule("keywords: [mimikatz]\nbut: {EventID: 2}\n", "", condition="keywords and not but")
    assert matched(tmp_path, everywhere, *rows) == [0, 3, 4]


def test_keywords_beyond_ascii_are_found_without_case(tmp_path: Path) -> None:
    rows = [event(1, 0, channel="System", A="x ÜBERALL"), event(1, 1, channel="System", A="uberall")]
    assert matched(tmp_path, rule("keywords: [überall]\n", "service: system", condition="keywords"), *rows) == [0]


def test_a_rule_that_names_event_ids_reads_these_alone(tmp_path: Path) -> None:
    (part,) = loaded(tmp_path, rule(selection("EventID: [4624, 4625]", "LogonType: 3"), "service: security"))
    needs = [(need.channel, need.event_id, need.columns) for group in part.hunt.any_of for need in group]  # type: ignore[union-attr]
    assert needs == [("Security", 4624, {"LogonType"}), ("Security", 4625, {"LogonType"})]
    rows = [
        event(n, at, channel="Security", provider="Microsoft-Windows-Security-Auditing", LogonType="3")
        for at, n in enumerate((4624, 4625, 4634))
    ]
    assert found(part, events(rows, [part]), rows) == [0, 1]


def test_a_service_without_event_ids_reads_all_of_its_channel(tmp_path: Path) -> None:
    (part,) = loaded(
        tmp_path,
        rule("selection: {Path: x}\nbut: {EventID: 5}\n", "service: windefend", condition="selection and not but"),
    )
    rows = [event(n, n, channel="Microsoft-Windows-Windows Defender/Operational", Path="x") for n in (1, 5, 7)]
    assert found(part, events(rows, [part]), rows) == [0, 2]


def test_many_rules_and_many_rows_are_one_pass(tmp_path: Path) -> None:
    rows = [start(f"C:\\p{n}.exe", n, CommandLine=f"run {n:04} x{n % 7}") for n in range(600)]
    texts = [rule(selection(f"CommandLine|contains: 'run {n:04} '"), title=f"r{n}") for n in range(0, 600, 20)]
    texts += [rule(selection(f"CommandLine|endswith: ' x{n}'"), title=f"e{n}") for n in range(7)]
    parts = loaded(tmp_path, *texts)
    case = events(rows, parts)
    assert [found(part, case, rows) for part in parts[:30]] == [[n] for n in range(0, 600, 20)]
    assert [found(part, case, rows) for part in parts[30:]] == [list(range(n, 600, 7)) for n in range(7)]


def test_each_event_is_a_finding_of_its_own(tmp_path: Path) -> None:
    (part,) = loaded(tmp_path, rule(selection("CommandLine: abc")))
    rows = starts("abc", "x", "abc")
    assert groups(part, events(rows, [part]), rows) == [[0], [2]]
    assert part.hunt.find(events([], [part])).collect().height == 0  # type: ignore[union-attr]


ENDLESS = r"CommandLine|re: '(?=a)(a+a+)+b\1'"


def late_on_60(texts: pl.Series, pattern: str, flags: str) -> pl.Series:
    """Python's engine, as if it took too long for texts with 60 a's."""
    told = [None if text and "a" * 60 in text else bool(text and re.search(pattern, text)) for text in texts]
    return pl.Series(told, dtype=pl.Boolean)


def _untold(part: Loaded | Unusable, case: Events, rows: list[Row]) -> tuple[list[int], str]:
    """(the events that a rule found, what it could not be told of)."""
    assert isinstance(part, Loaded)
    with pytest.raises(PartlyError) as raised:
        part.hunt.find(case)
    places = {int(row["record_id"]): n for n, row in enumerate(rows)}
    return [places[event["record_id"]] for (event,) in raised.value.found["events"].to_list()], str(raised.value)


def test_an_expression_that_never_ends_costs_only_the_events_that_it_could_not_be_told_of(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("hunt.sigma.slow.matches", late_on_60)
    both = "a: {Image|endswith: cmd.exe}\nb: {CommandLine|re: '(?=a)(a+a+)+b\\1'}\n"
    parts = loaded(
        tmp_path,
        rule(selection(ENDLESS)),
        rule(both, condition="a and not b"),
        rule(both, condition="a or b"),
        rule(both + "c: {CommandLine|contains: aaa}\n", condition="a and not (b and c)"),
        rule(selection("CommandLine|contains: aaa")),
        rule("keywords: {'|re': '(?=a)(a+a+)+b\\1'}\n", "service: sysmon", condition="keywords"),
    )
    rows = starts("x", "a" * 60, "aabaa", "a" * 61 + "!", "aabx")
    case = events(rows, parts)
    late = "whether 2 more events match could not be told in time: a regular expression takes too long"
    assert _untold(parts[0], case, rows) == ([2], late)
    assert _untold(parts[1], case, rows) == ([0, 4], late)
    assert found(parts[2], case, rows) == [0, 1, 2, 3, 4]  # whatever the expression says
    assert _untold(parts[3], case, rows) == ([0, 2, 4], late)
    assert found(parts[4], case, rows) == [1, 3]
    assert _untold(parts[5], case, rows) == ([2], late)


def test_a_rule_that_fails_on_all_that_it_asks_is_no_rule_that_ran(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("hunt.sigma.slow.sys.executable", str(tmp_path / "none"))
    bad, partly, good = loaded(
        tmp_path,
        rule(selection(ENDLESS)),
        rule(selection("TargetObject|re: '(?=a)a'"), "category: registry_event"),
        rule(selection("CommandLine|contains: aaa")),
    )
    rows = [*starts("aaa"), event(13, 1, TargetObject="a"), event(14, 2)]
    case = events(rows, [bad, partly, good])
    with pytest.raises(RuleError, match="can't be run") as raised:
        found(bad, case, rows)
    assert raised.value.status is Status.NOT_EVALUABLE
    places, said = _untold(partly, case, rows)
    assert places == []
    assert said.startswith("not evaluable in event 13 of Microsoft-Windows-Sysmon/Operational: a regular expression")
    assert found(good, case, rows) == [0]


@pytest.mark.parametrize(
    ("keywords", "places"),
    [("['*']", [0, 1]), ("['']", [0, 1]), ("{'|all': ['*', 'here']}", [0]), ("['?']", [0, 1])],
)
def test_a_keyword_that_stands_in_everything(keywords: str, places: list[int], tmp_path: Path) -> None:
    rows = [event(1, 0, channel="System", A="here"), event(2, 1, channel="System")]
    text = rule(f"keywords: {keywords}\n", "service: system", condition="keywords")
    assert matched(tmp_path, text, *rows) == places
    not_there = rule(f"keywords: {keywords}\n", "service: system", condition="not keywords")
    if places == [0, 1]:
        (part,) = loaded(tmp_path, not_there)
        assert isinstance(part, Unusable) or found(part, events(rows, [part]), rows) == []
