r"""Something was put where Outlook will run it: a home page, an add-in, macros, a form (Sysmon 13, 11; Security 4657).

Why it matters: what Outlook loads runs at every start, inside Outlook, with all of the mail at hand (T1137); Ruler puts
it there from afar, with no more than the user's password.
Looks alike, is harmless: setups of add-ins and Outlook itself, which turns add-ins off and on: informational by what
writes them (a service in a folder of administrators, Outlook where it is installed); users who write macros in
Outlook's editor, and Office's other programs, are low.
Blind when: Sysmon's configuration has neither these keys nor these files; rules and forms that stay in the mailbox
(Exchange's log tells of rules: exchange-forwarding); add-ins that come from the server.
How: one row for each value or file. High for a home page (T1137.004), and for macros (VbaProject.OTM), forms and
templates (T1137.003, .001) that others than Office write; medium for add-ins (T1137.006), high by a script host.
Next: keep the value or file with its times, then remove it, on all computers with that profile; what it runs is to be
secured and hashed first. A home page, form or rule may lie in the mailbox, so remove it there too, and renew the
password, for Ruler needs no more to set it again. Forbid home pages and unmanaged add-ins by policy, and look what
Outlook started since.
See: https://attack.mitre.org/techniques/T1137/, https://github.com/sensepost/ruler
"""

from __future__ import annotations

import polars as pl

from hunt.findings import TEXTS
from hunt.model import Case, Hunt, Severity

from ._collection import (
    ACT_COLUMNS,
    ACTOR_SIGNS,
    READS,
    SERVICE,
    Calm,
    acting,
    acts,
    by_process,
    is_office,
    is_outlook,
    named,
    need,
    told,
    weighed,
)
from ._registry_values import NEEDS, values

_HOMEPAGE = r"\\outlook\\webview\\[^\\]+\\url$|\\outlook\\today\\userdefinedurl$"
_ADDIN = r"\\outlook\\addins\\[^\\]+\\loadbehavior$"
_FILE = (
    r"(?i)\\(?:vbaproject\.otm|templates\\normalemail\.dotm)$|\\appdata\\local\\microsoft\\forms\\"
    r"|\\microsoft\\outlook\\startup\\"
)

_WHAT = {"home page": 3, "add-in": 2, "macros": 3, "form": 2, "template": 3}
_TECHNIQUE = {
    "home page": "T1137.004", "add-in": "T1137.006", "macros": "T1137.001", "form": "T1137.003",
    "template": "T1137.001",
}  # fmt: skip
_OUTLOOK = Calm("outlook", is_outlook() & (pl.col("what") == "add-in"), "by Outlook itself", 0)
# Office registers add-ins of its own when one of its programs is run for the first time.
_EDITOR = Calm(
    "office",
    is_office() & (pl.col("what") != "home page"),
    "by Office itself, as its setup or a user who edits does",
    1,
)
_PAGE = Calm(
    "empty", (pl.col("what") == "home page") & pl.col("value").is_in(["", "(empty)"]), "the page is taken away", 0
)


def find(case: Case) -> pl.LazyFrame:
    """One row for each value, and for each process and day that wrote such files."""
    rows = pl.concat([_set(case), _written(case)], how="diagonal")
    weight = pl.col("what").replace_strict(_WHAT, return_dtype=pl.Int64)
    technique = pl.col("what").replace_strict(_TECHNIQUE, return_dtype=pl.String)
    shown = weighed(rows, weight, ACTOR_SIGNS, (SERVICE, _OUTLOOK, _EDITOR, _PAGE))
    text = pl.when(pl.col("value") != "").then(pl.col("value").str.slice(0, 200))
    what = pl.concat_str(
        pl.format("Outlook's {}: {}", "what", named()), pl.format("set to {}", text), separator=", ", ignore_nulls=True
    )
    return told(shown, "persist", what, techniques=pl.concat_list(technique).cast(TEXTS))


def _set(case: Case) -> pl.LazyFrame:
    page = pl.col("key").str.contains(_HOMEPAGE)
    met = values(case, f"{_HOMEPAGE}|{_ADDIN}").with_columns(
        what=pl.when(page).then(pl.lit("home page")).otherwise(pl.lit("add-in"))
    )
    # Bit 0: loaded now or at the start; of others Outlook loads nothing.
    return met.filter(page | ((pl.col("number") & 1) == 1).fill_null(value=True)).drop("key", "number", "by_line")


def _written(case: Case) -> pl.LazyFrame:
    name = pl.col("object").str.to_lowercase()
    kind = (
        pl.when(name.str.contains(r"\.otm$"))
        .then(pl.lit("macros"))
        .when(name.str.contains(r"\\forms\\"))
        .then(pl.lit("form"))
        .otherwise(pl.lit("template"))
    )
    # The cache of forms, which Outlook writes by itself.
    cache = name.str.contains(r"\\forms\\(?:frmcache\.dat|[^\\]*\.tmp)$") & is_office()
    wanted = pl.col("TargetFilename").str.contains(_FILE)
    rows = acts(case, 11, "TargetFilename", wanted, ~cache).with_columns(what=kind).collect()
    parts = [
        acting(case, by_process(part.lazy())).with_columns(what=pl.lit(str(what)), value=pl.lit(None, pl.String))
        for (what,), part in sorted(rows.group_by("what"), key=lambda pair: str(pair[0]))
    ]
    none = acting(case, by_process(rows.lazy().clear())).with_columns(what=pl.lit(""), value=pl.lit(None, pl.String))
    return pl.concat([none, *parts], how="diagonal")


HUNT = Hunt(
    id="outlook-persistence",
    title="Something was put where Outlook runs it",
    severity=Severity.HIGH,
    risk_score=73,
    attack=("T1137.001", "T1137.003", "T1137.004", "T1137.006"),
    needs=(),
    any_of=((need(11, f"{ACT_COLUMNS} TargetFilename", "TargetFilename"), *NEEDS),),
    find=find,
    reads=READS,
)
