from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from hunt import allow
from hunt.allow import Allowlist
from hunt.errors import HuntError
from hunt.events import Events
from hunt.findings import COLUMNS
from tests.helpers import Row, batch, event, guid, moment

NOW = datetime(2026, 6, 1, tzinfo=UTC)
AGENT = r"C:\Program Files\Contoso\Inventory\agent.exe"
SHELL = r"C:\Windows\System32\WindowsPowerShell\v1.0\powershell.exe"
HASH = "ab" * 32


def listed(folder: Path, text: str) -> Allowlist:
    path = folder / "allow.yml"
    path.write_text(text, encoding="utf-8")
    return allow.load(path, NOW)


def refused(folder: Path, text: str) -> str:
    with pytest.raises(HuntError) as caught:
        listed(folder, text)
    said = str(caught.value)
    assert "\n" not in said
    return said


def finding(**columns: Any) -> pl.DataFrame:
    """One finding: the agent, as SYSTEM."""
    at = datetime(2026, 3, 2, 8, 15, tzinfo=UTC)
    row = {
        "finding_id": "0" * 16, "query": "outlook-script-host", "host": "WS01.contoso.example", "start": at, "end": at,
        "user": r"NT AUTHORITY\SYSTEM", "image": AGENT, "command_line": "agent.exe /scan", "grade": "A",
        "parent_image": r"C:\Windows\System32\services.exe", "sha256": HASH, "logon_id": "0x3e7", "ambiguous": False,
        "process_guid": guid(7), **columns,
    }  # fmt: skip
    return pl.DataFrame([{c: row.get(c) for c in COLUMNS}], schema=COLUMNS)


def marked(allowed: Allowlist, found: pl.DataFrame, *rows: Row) -> Any:
    """What stands in `suppressed`."""
    case = Events(allowed.needs())
    if rows:
        case.add(batch(*rows))
    return allowed.mark(found, case)["suppressed"].to_list()


def entry(**fields: str) -> str:
    lines = [f"{name}: '{value}'" for name, value in {"reason": "known", **fields}.items()]
    return "- " + "\n  ".join(lines) + "\n"


# Matching.


def test_all_fields_of_an_entry_must_match(tmp_path: Path) -> None:
    allowed = listed(tmp_path, entry(image=AGENT, user=r"NT AUTHORITY\SYSTEM", host="ws01*", command_line="*/scan"))
    assert marked(allowed, finding()) == ["known"]
    assert marked(allowed, finding(host="WS02")) == [None]
    assert marked(allowed, finding(user=r"CONTOSO\alice")) == [None]
    assert marked(allowed, finding(image=r"C:\Users\Public\agent.exe")) == [None]
    assert marked(allowed, finding(command_line="agent.exe /scan; evil")) == [None]


def test_what_a_finding_does_not_tell_matches_nothing(tmp_path: Path) -> None:
    allowed = listed(tmp_path, entry(image=AGENT, user="*system"))
    assert marked(allowed, finding(image=None)) == [None]
    assert marked(allowed, finding(user=None)) == [None]


def test_paths_are_compared_as_windows_does(tmp_path: Path) -> None:
    allowed = listed(tmp_path, entry(image=r"c:\program files\contoso\*", user="*system"))
    assert marked(allowed, finding(image="\\\\?\\C:\\PROGRAM FILES\\Contoso\\x.exe")) == ["known"]
    assert marked(allowed, finding(image=r"C:\Program Files\Contoso\..\..\Users\Public\x.exe")) == [None]
    assert marked(allowed, finding(image="C:\\Program Files\\Contos\u00f6\\x.exe")) == [None]


def test_a_name_without_a_folder_is_compared_with_the_files_name(tmp_path: Path) -> None:
    allowed = listed(tmp_path, entry(image="agent.exe", sha256=HASH.upper()))
    assert marked(allowed, finding()) == ["known"]
    assert marked(allowed, finding(image=r"C:\x\not-agent.exe")) == [None]


def test_of_several_values_one_must_match(tmp_path: Path) -> None:
    allowed = listed(tmp_path, f"- image: '{AGENT}'\n  host: [WS09, WS01]\n  reason: known\n")
    assert marked(allowed, finding()) == ["known"]
    assert marked(allowed, finding(host="WS010")) == [None]


def test_the_first_entry_that_matches_gives_the_reason(tmp_path: Path) -> None:
    text = entry(image=AGENT, user="nobody", reason="one") + entry(image=AGENT, user="*", sha256=HASH, reason="x")
    assert "user matches everything" in refused(tmp_path, text)
    text = "".join(entry(image=AGENT, sha256=HASH, reason=reason) for reason in ("first", "second"))
    allowed = listed(tmp_path, text)
    assert marked(allowed, finding()) == ["first"]
    assert [e["suppressed"] for e in told(allowed)] == [1, 0]


def test_an_entry_may_be_for_one_query_only(tmp_path: Path) -> None:
    allowed = listed(tmp_path, entry(image=AGENT, sha256=HASH, query="outlook-*"))
    assert marked(allowed, finding()) == ["known"]
    assert marked(allowed, finding(query="lsass-access")) == [None]


@pytest.mark.parametrize(
    "doubt",
    [{"ambiguous": True}, {"grade": "E"}, {"grade": "F"}, {"locality": "remote"}, {"image": None, "grade": None}],
)
def test_where_somebody_else_may_be_meant_nothing_is_suppressed(tmp_path: Path, doubt: dict[str, Any]) -> None:
    allowed = listed(tmp_path, entry(sha256=HASH, user=r"NT AUTHORITY\SYSTEM"))
    assert marked(allowed, finding(**doubt)) == [None]
    (note,) = allowed.notes()
    assert note.startswith("allow.yml: entry 1 matches 1 more whose requester is not known, ambiguous or a guess")


def test_an_entry_that_matches_nothing_is_said(tmp_path: Path) -> None:
    allowed = listed(tmp_path, entry(sha256="cd" * 32, user=r"NT AUTHORITY\SYSTEM"))
    assert marked(allowed, finding()) == [None]
    assert list(allowed.notes()) == ["allow.yml: entry 1 matches no finding"]


def test_without_entries_nothing_changes() -> None:
    found = finding()
    assert Allowlist().mark(found, Events()) is found
    assert Allowlist().told() is None


# SIDs.


def logon(at: int, **columns: Any) -> Row:
    fields = {"TargetLogonId": "0x53ca2", "TargetUserSid": "S-1-5-21-1-2-3-1105", "TargetUserName": "alice"} | columns
    place = {"channel": "Security", "provider": "Microsoft-Windows-Security-Auditing", "host": "ws01.contoso.example"}
    return event(4624, at, **(place | fields))


def of_alice(**columns: Any) -> pl.DataFrame:
    start = datetime.fromisoformat(moment(100)[:26] + "+00:00")
    return finding(user=r"CONTOSO\alice", logon_id="0x53ca2", start=start, end=start, **columns)


def test_local_system_is_known_by_its_logon_in_any_language(tmp_path: Path) -> None:
    for field in ("user", "sid"):
        allowed = listed(tmp_path, entry(image=AGENT, **{field: "S-1-5-18"}))
        assert marked(allowed, finding(user=r"NT-AUTORITÄT\SYSTEM")) == ["known"]
        assert marked(allowed, finding(user=r"NT AUTHORITY\SYSTEM", logon_id="0x53ca2")) == [None]


def test_a_sid_is_read_from_the_users_logon(tmp_path: Path) -> None:
    allowed = listed(tmp_path, entry(image=AGENT, user="S-1-5-21-1-2-3-1105"))
    assert marked(allowed, of_alice(), logon(0)) == ["known"]
    assert marked(allowed, of_alice()) == [None]
    assert marked(allowed, of_alice(), logon(0, host="ws02")) == [None]
    assert marked(allowed, of_alice(), logon(200)) == [None]


def test_a_logon_id_that_was_given_anew_means_its_last_owner(tmp_path: Path) -> None:
    allowed = listed(tmp_path, entry(image=AGENT, user="S-1-5-21-1-2-3-1105"))
    later = logon(50, TargetUserSid="S-1-5-21-1-2-3-1106", TargetUserName="bob")
    assert marked(allowed, of_alice(), logon(0), later) == [None]
    assert marked(allowed, of_alice(), logon(0, TargetUserName="bob")) == [None]


# Signers.


def load(**columns: Any) -> Row:
    fields = {
        "ProcessGuid": guid(7),
        "Image": AGENT,
        "ImageLoaded": AGENT,
        "Signed": "true",
        "Signature": "Contoso Ltd",
    }
    return event(7, host="WS01.contoso.example", **{**fields, "SignatureStatus": "Valid", **columns})


def test_only_a_valid_signature_names_a_signer(tmp_path: Path) -> None:
    allowed = listed(tmp_path, entry(image=AGENT, signer="contoso ltd"))
    assert marked(allowed, finding(), load()) == ["known"]
    assert marked(allowed, finding(), load(SignatureStatus="Untrusted")) == [None]
    assert marked(allowed, finding(signer="Contoso Ltd")) == [None]  # nobody has seen the signature


# Expiry.


def told(allowed: Allowlist) -> Any:
    said = allowed.told()
    assert said is not None
    return said["entries"]


def test_an_expired_entry_does_nothing_and_is_said(tmp_path: Path) -> None:
    allowed = listed(tmp_path, entry(image=AGENT, sha256=HASH, expires="2026-05-31"))
    assert marked(allowed, finding()) == [None]
    assert [*allowed.notes()] == ["allow.yml: entry 1 expired on 2026-05-31 and does nothing"]
    assert told(allowed)[0]["expired"] is True


def test_the_last_day_counts(tmp_path: Path) -> None:
    allowed = listed(tmp_path, "- image: 'C:\\a\\b.exe'\n  sha256: " + HASH + "\n  reason: r\n  expires: 2026-06-01\n")
    assert marked(allowed, finding(image=r"c:\A\b.exe")) == ["r"]
    assert [*allowed.notes()] == []


def test_an_expiry_that_is_no_date_is_refused(tmp_path: Path) -> None:
    assert "entry 1 (line 1): expires: 'soon' is no time" in refused(
        tmp_path, entry(image=AGENT, sha256=HASH, expires="soon")
    )


# What is refused.


@pytest.mark.parametrize(
    "fields",
    [
        {"image": "agent.exe"},
        {"image": AGENT},
        {"sha256": HASH},
        {"user": "S-1-5-18"},
        {"image": "agent.exe", "parent_image": r"*\services.exe"},
        {"image": r"*\Contoso\agent.exe", "host": "WS01"},
        {"image": r"C:\*\Contoso\agent.exe", "host": "WS01"},
        {"image": r"C:\agent.exe", "command_line": "*scan*"},
        {"command_line": "*scan*", "host": "WS01"},
        {"image": AGENT, "query": "outlook-script-host"},
        {"image": "powershell.exe", "user": "*s*"},
        {"image": "powershell.exe", "user": "CONTOSO*"},
        {"image": "powershell.exe", "sid": "S-1-*"},
        {"image": "powershell.exe", "user": "S-1-5-21-*"},
        {"image": "powershell.exe", "signer": "*Microsoft*"},
        {"host": "*w*", "user": "*s*"},
        {"image": r"C:\w*\*.exe", "host": "*w*"},
        {"image": r"C:\Windows\*.exe", "host": "*w*"},
        {"image": SHELL, "command_line": "*office.ps1*"},
        {"image": SHELL, "host": "WS01"},
        {"image": "C:\\Windows\\System32\\*shell.exe", "host": "WS01"},
        {},
    ],
)
def test_a_name_alone_is_refused(tmp_path: Path, fields: dict[str, str]) -> None:
    said = refused(tmp_path, entry(image=AGENT, sha256=HASH) + entry(**fields))
    assert "entry 2 (line 4): matches" in said
    assert "an entry needs two fields" in said


@pytest.mark.parametrize(
    "fields",
    [
        {"image": AGENT, "host": "WS01"},
        {"image": r"?:\Program Files*\Contoso\*.exe", "command_line": "*scan*"},
        {"image": r"\\srv\tools\x\agent.exe", "host": "WS*"},
        {"image": "agent.exe", "user": r"CONTOSO\svc-*"},
        {"command_line": "*scan*", "signer": "Contoso*"},
        {"image": "powershell.exe", "sid": "S-1-5-21-*-500"},
        {"image": SHELL, "command_line": "powershell -File C:\\agent\\office.ps1"},
        {"image": SHELL, "parent_image": AGENT},
    ],
)
def test_two_fields_will_do_if_one_can_not_be_chosen_freely(tmp_path: Path, fields: dict[str, str]) -> None:
    assert len(listed(tmp_path, entry(**fields)).entries) == 1


@pytest.mark.parametrize("wild", ["*", "?:\\*", "**"])
def test_a_field_that_matches_everything_is_refused(tmp_path: Path, wild: str) -> None:
    assert "image matches everything" in refused(tmp_path, entry(image=wild, user="x", sha256=HASH))


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "an allowlist is a list of entries"),
        ("allow: 1", "an allowlist is a list of entries"),
        ("- just text", "entry 1 (line 1) is no mapping"),
        (f"- image: '{AGENT}'\n  user: x\n", "entry 1 (line 1): a reason is needed"),
        (f"- image: '{AGENT}'\n  user: x\n  reason:\n", "reason is empty"),
        (f"- image: '{AGENT}'\n  user: x\n  reason: ~\n", "reason is empty"),
        (f"- image: '{AGENT}'\n  user: x\n  reason: [a, b]\n", "reason is one text"),
        (f"- image: '{AGENT}'\n  user: x\n  reason: a\n  imgae: b\n", "no field is called 'imgae'"),
        (f"- image: '{AGENT}'\n  user: x\n  user: y\n  reason: a\n", "user stands there twice"),
        (f"- image: '{AGENT}'\n  user: []\n  reason: a\n", "user has 0 values"),
        (f"- image: '{AGENT}'\n  user: [[x]]\n  reason: a\n", "user is neither a text nor a list"),
        (f"- image: '{AGENT}'\n  sha256: 12ab*\n  reason: a\n", "is no SHA-256"),
        ("- image: '%ProgramFiles%\\a.exe'\n  user: x\n  reason: a\n", "what %ProgramFiles% stood for"),
        ('- image: "C:\\Program Files\\x"\n  user: x\n  reason: a\n', "paths belong in single quotes"),
        ("- {a: 1", "is no YAML"),
        ("- a\n---\n- b\n", "is no YAML"),
        ("[" * 5000, "nested too deeply"),
        ("\x00", "is no YAML"),
    ],
)
def test_what_is_no_allowlist_is_refused_in_one_line(tmp_path: Path, text: str, said: str) -> None:
    assert said in refused(tmp_path, text)


def test_yaml_makes_no_objects_and_no_guesses(tmp_path: Path) -> None:
    """`no` is a host, 2026-12-31 a text until it is read as a date, and a tag means nothing."""
    text = f"- image: '{AGENT}'\n  user: x\n  host: no\n  reason: !!python/object/apply:os.getcwd []\n"
    assert "reason is one text" in refused(tmp_path, text) or "0 values" in refused(tmp_path, text)
    (one,) = listed(tmp_path, f"- image: '{AGENT}'\n  user: x\n  host: no\n  reason: a\n").entries
    assert one.fields["host"] == ("no",)


def test_what_is_too_large_is_not_read(tmp_path: Path) -> None:
    assert "larger than 1024 KiB" in refused(tmp_path, "# " + "x" * (1 << 20))
    assert "longer than 4096" in refused(tmp_path, entry(image="C:\\" + "x" * 5000, user="x"))
    assert "has 101 values" in refused(tmp_path, f"- user: [{', '.join('x' * 101)}]\n  reason: a\n")


def test_aliases_that_multiply_cost_nothing(tmp_path: Path) -> None:
    levels = "".join(f"- &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]\n" for n in range(1, 30))
    assert "entry 1 (line 1) is no mapping" in refused(tmp_path, "- &a0 [x]\n" + levels)


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(HuntError, match=r"none\.yml: can't be read"):
        allow.load(tmp_path / "none.yml", NOW)


# Findings without processes.


def test_a_caller_is_known_by_his_sid_in_whichever_field(tmp_path: Path) -> None:
    sid = "S-1-5-21-1-2-3-1150"
    done = finding(
        image=None, logon_id=None, user="contoso.example/Service/svc-archive", actor=sid,
        object=r"\\SRV-FILES\pst$\left\bob.pst", action="New-MailboxExportRequest, Remove-MailboxExportRequest",
    )  # fmt: skip
    share = r"\\srv-files\PST$\left\*"
    for fields in (
        {"actor": sid, "object": share}, {"sid": sid, "object": share}, {"user": sid, "object": share},
        {"user": "*/svc-archive", "object": share}, {"actor": "s-1-5-21-1-2-3-1150", "action": "New-MailboxExport*"},
    ):  # fmt: skip
        assert marked(listed(tmp_path, entry(**fields)), done) == ["known"], fields
    for fields in (
        {"actor": f"{sid}0", "object": share}, {"actor": sid, "object": r"\\SRV-FILES\pst$\other\*"},
        {"actor": sid, "action": "Remove-*"},
    ):  # fmt: skip
        assert marked(listed(tmp_path, entry(**fields)), done) == [None], fields
    elsewhere = done.with_columns(object=pl.lit(r"\\SRV-FILES\pst$\left\..\..\c$\x.pst"))
    assert marked(listed(tmp_path, entry(actor=sid, object=share)), elsewhere) == [None]
    assert "matches object and action alone" in refused(tmp_path, entry(object=share, action="New-*"))
