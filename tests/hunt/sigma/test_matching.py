"""What rules match: Sigma's tests on real columns, the whole way from YAML to findings."""

from __future__ import annotations

from pathlib import Path

import pytest

from hunt.model import Status
from hunt.rules.model import RuleError
from tests.helpers import Row, event, start
from tests.hunt.sigma.given import events, found, groups, loaded, matched, rule, selection

SYSTEM32 = "C:\\Windows\\System32\\"


def starts(*command_lines: str | None) -> list[Row]:
    return [start(f"{SYSTEM32}cmd.exe", n, CommandLine=text) for n, text in enumerate(command_lines)]


@pytest.mark.parametrize(
    ("line", "texts", "places"),
    [
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
    ],
)  # fmt: skip
def test_a_test_meets_these_texts(line: str, texts: list[str | None], places: list[int], tmp_path: Path) -> None:
    rows = [row | {"OriginalFileName": "cmd.EXE"} for row in starts(*texts)]
    assert matched(tmp_path, rule(selection(line)), *rows) == places


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


def test_an_expression_that_never_ends_is_told_and_others_go_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("hunt.sigma.slow._LONGEST_S", 0.5)
    bad, good = loaded(
        tmp_path,
        rule(selection(r"CommandLine|re: '(?=a)(a+a+)+b\1'")),
        rule(selection("CommandLine|contains: aaa")),
    )
    rows = starts("a" * 60)
    case = events(rows, [bad, good])
    with pytest.raises(RuleError, match="regular expression") as raised:
        found(bad, case, rows)
    assert raised.value.status is Status.NOT_EVALUABLE
    assert found(good, case, rows) == [0]
