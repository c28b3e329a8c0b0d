r"""Outlook's guards were lowered in the registry: prompts, macros, scripts of forms and folders, blocked attachments.

Why it matters: ObjectModelGuard 2 and the PromptOOM values let any program read and send mail through Outlook without
asking the user (T1562.001, T1112); Level 1 runs every macro, EnableUnsafeClientMailRules lets rules start programs,
EnableRoamingFolderHomepages and the script values bring back what Ruler uses (T1137).
Looks alike, is harmless: Group Policy and Intune, which write below Policies as SYSTEM's service, and Outlook's own
Trust Center: both are low for it; packages of CRM and telephony that switch the guard off for themselves are not told
from others: put their `image` and `object` on the allowlist.
Blind when: neither Sysmon 13 for these keys nor an audit rule (4657) on them is there; values set before the log
begins, or in a hive that was loaded from a file.
How: one row for each value, by its number: harmless settings (prompt the user, default) are left out. Without registry
events, command lines of reg.exe and PowerShell that name a value are told, with the number they name.
Next: ask whoever looks after policies and packages. If nobody set it, put the value back, best by policy so that users
can't change it, and look at what wrote it: isolate the host if that is a script or unsigned. From then on any program
could read or send mail unasked: go through Outlook's starts, children and writes since. Look for the same value on
other hosts.
See: https://attack.mitre.org/techniques/T1562/001/, https://attack.mitre.org/techniques/T1137/
"""

from __future__ import annotations

import polars as pl

from hunt.findings import TEXTS
from hunt.model import Case, Hunt, Severity
from hunt.processes import base_name

from ._collection import ACTOR_SIGNS, LINES, READS, Calm, is_outlook, is_protected, is_system, told, weighed
from ._registry_values import NEEDS, values

# Value: the numbers that lower a guard (None: any text), weight, technique. Sources: "Security behavior of the Outlook
# object model" and "Configure Outlook ... attachments", Microsoft; sensepost/ruler.
_VALUES: dict[str, tuple[tuple[int, ...] | None, int, str]] = {
    "objectmodelguard": ((2,), 3, "T1562.001"),  # 2: never warn
    "promptoomsend": ((2,), 3, "T1562.001"),  # 2: approve without asking
    "promptoomaddressbookaccess": ((2,), 3, "T1562.001"),
    "promptoomaddressinformationaccess": ((2,), 3, "T1562.001"),
    "promptoommeetingtaskrequestresponse": ((2,), 2, "T1562.001"),
    "promptoomsaveas": ((2,), 3, "T1562.001"),
    "promptoomformulaaccess": ((2,), 2, "T1562.001"),
    "promptoomcustomaction": ((2,), 3, "T1562.001"),
    "promptsimplemapisend": ((2,), 3, "T1562.001"),
    "promptsimplemapinameresolve": ((2,), 3, "T1562.001"),
    "promptsimplemapiopenmessage": ((2,), 3, "T1562.001"),
    "adminsecuritymode": ((1, 2, 3), 1, "T1562.001"),  # whose settings count: the values above need 3
    "level1remove": (None, 2, "T1562.001"),  # extensions that are blocked no more
    "fileextensionsremovelevel1": (None, 2, "T1562.001"),
    "level": ((1,), 3, "T1137.001"),  # 1: all macros run
    "enableunsafeclientmailrules": ((1,), 3, "T1137.005"),
    "enableroamingfolderhomepages": ((1,), 3, "T1137.004"),
    "nondefaultstorescript": ((1,), 2, "T1137.003"),
    "allowpubstorescript": ((1,), 2, "T1137.003"),
    "publicfolderscript": ((1,), 2, "T1137.003"),
    "sharedfolderscript": ((1,), 2, "T1137.003"),
    "enableoneoffformscripts": ((1,), 3, "T1137.003"),
    "allowactivexoneoffforms": ((2,), 2, "T1137.003"),  # 2: all controls
    "loadmacroprovideronboot": ((1,), 2, "T1137.001"),
}
_NAMES = "|".join(sorted(_VALUES, key=len, reverse=True))
_KEY = rf"\\outlook(?:\\security)?\\(?:{_NAMES})$"
# A short name as `level` is met everywhere: in a command line the key must stand before it.
_LINE = rf"(?i)\\outlook(?:\\security)?[\"' ].{{0,300}}\b(?:{_NAMES})\b|\\outlook\\security\\(?:{_NAMES})\b"

_POLICY = Calm(
    "policy",
    is_system() & is_protected() & pl.col("key").str.contains(r"\\policies\\") & ~pl.col("by_line"),
    "below Policies by an account of Windows, as Group Policy does",
    1,
)
_ITSELF = Calm("trust center", is_outlook(), "in Outlook itself, as its Trust Center does", 1)


def find(case: Case) -> pl.LazyFrame:
    """One row for each value that lowers a guard."""
    met = values(case, _KEY, _LINE).with_columns(
        name=pl.col("key").str.extract_all(rf"\b(?:{_NAMES})\b").list.last()
    ).filter(pl.col("name").is_not_null())  # fmt: skip
    rows = met.filter(_lowers()).with_columns(
        base=_of(1, pl.Int64), technique=_of(2, pl.String), value=pl.col("value").fill_null("an unknown value")
    )
    signs = [sign for sign in ACTOR_SIGNS if sign.name != "script host"]
    host = base_name("image").is_in(
        ["powershell.exe", "pwsh.exe", "reg.exe", "cmd.exe", "wscript.exe", "cscript.exe", "mshta.exe"]
    )
    heavier = pl.col("base") + (host.fill_null(value=False) & (pl.col("base") == 2)).cast(pl.Int64)
    what = pl.format(
        "{} was set to {}", "name", pl.coalesce(pl.col("number").cast(pl.String), pl.col("value").str.slice(0, 100))
    )
    return told(
        weighed(rows, heavier, signs, (_POLICY, _ITSELF)),
        "set",
        what,
        techniques=pl.concat_list("technique").cast(TEXTS),
    )


def _of(part: int, dtype: pl.DataType | type[pl.DataType]) -> pl.Expr:
    return (
        pl.col("name")
        .replace_strict({name: str(own[part]) for name, own in _VALUES.items()}, return_dtype=pl.String)
        .cast(dtype)
    )


def _lowers() -> pl.Expr:
    """By its number; one that is not known may."""
    numbers = [(pl.col("name") == name) & pl.col("number").is_in(own[0]) for name, own in _VALUES.items() if own[0]]
    texts = pl.col("name").is_in([name for name, own in _VALUES.items() if own[0] is None])
    said = ~pl.col("value").fill_null("?").is_in(["", "(empty)", "binary data"])
    unknown = pl.col("number").is_null() & ~texts
    return pl.any_horizontal(*(n.fill_null(value=False) for n in numbers), texts & said, unknown)


HUNT = Hunt(
    id="outlook-security-lowered",
    title="Outlook's guards lowered",
    severity=Severity.HIGH,
    risk_score=73,
    attack=("T1562.001", "T1112", "T1137"),
    needs=(),
    any_of=((*NEEDS, *LINES),),
    find=find,
    reads=READS,
)
