"""COM started Outlook (svchost DcomLaunch, -Embedding or /automation): every such start, requester known or not.

Why it matters: this is what driving Outlook through COM looks like from outside (T1559.001): svchost is its parent,
and common configurations of Sysmon log little else. Remote activation (T1021.003) looks the same, in session 0.
Looks alike, is harmless: presence and meeting add-ins, send-to-mail, sync of devices, mail merge, CRM; inventory that
reads Outlook's version through COM. What is the same every day on many hosts is likely one of those.
Blind when: Outlook runs already and hands nothing over (GetActiveObject); svchost's starts of others are filtered out.
How: one row for each start, with its likeliest requester and grade where there is one (outlook-script-host says what
the grades mean; `competitors` how many fit as well). For review, and so of severity medium: starts asked for from
another machine, and those of grade D with exactly one script host among the candidates. `--min-grade` hides none:
the start is certain, whoever asked for it. From Security 4688 without
command lines, every start of Outlook by svchost is listed.
Next: see who asked (`hunt tree`, `hunt show-finding`); compare with the same start on other hosts and days. In session
0, at night or with a remote requester take the host off the network with its memory kept, and go on with that
requester's own files, tasks and connections.
See: https://attack.mitre.org/techniques/T1559/001/, https://attack.mitre.org/techniques/T1021/003/
"""

from __future__ import annotations

import polars as pl

from hunt.model import Case, Hunt, Severity

from ._outlook import CHILD, INSTEAD, NEEDS, READS, SECOND, helps
from ._outlook_requests import activations, requests
from ._outlook_told import child_alone, columns, likeliest, meaning, notes
from ._outlook_unnamed import UNNAMED
from ._outlook_window import window


def find(case: Case) -> pl.LazyFrame:
    """One row for each start of Outlook by COM."""
    started = activations(case)
    asked = requests(case).filter(pl.col("grade") != "direct", ~_remote())
    # With one script host among those of grade D, it is the one to look at, if all were looked at.
    one = (pl.col("best") == "D") & (pl.col("leads") == 1) & (pl.col("left_over") == 0)
    named = asked.with_columns(one.alias("_one")).filter(~pl.col("_one") | pl.col("script_host"))
    own = set(started.collect_schema()) - set(CHILD)
    rows = started.join(likeliest(named).drop(own), on=CHILD, how="left", nulls_equal=True).with_columns(
        pl.lit(value=True).alias("_sure"), pl.col("_one").fill_null(value=False)
    )
    review = _remote() | pl.col("_one")
    return columns(
        rows,
        _reason(window(case)),
        child_alone(),
        severity=pl.when(review).then(pl.lit("medium")).otherwise(pl.lit("low")),
        risk_score=pl.when(review).then(47).otherwise(21),
        # Of the start, which is what is found; how sure its requester is, the grade says.
        confidence=pl.when(pl.col("source") == "security").then(pl.lit("low")).otherwise(pl.lit("high")),
    )


def _remote() -> pl.Expr:
    return pl.col("locality").eq_missing("remote")


def _reason(longest: int) -> pl.Expr:
    unmarked = pl.col("c_command_line").is_null()
    who = (
        pl.when(_remote())
        .then(
            pl.concat_str(pl.lit("asked for from another machine"), pl.format(", {}", "source_ip"), ignore_nulls=True)
        )
        .when(pl.col("grade").is_null() & pl.col("mechanism").is_null())
        .then(pl.lit("requester unknown: nobody was looked for"))
        .when(pl.col("grade").is_null())
        .then(
            pl.lit(
                f"requester unknown: of what is known to have started in the {longest / SECOND:g} s before none fits; "
                "it may have started earlier, or not have been logged"
            )
        )
        .when("_one")
        .then(pl.lit("for review: exactly one script host fits; grade D: the same logon and time, no more is known"))
        .otherwise(meaning())
    )
    how = pl.when(unmarked).then(pl.lit("svchost started Outlook, its command line was not logged")).otherwise(
        pl.lit("COM started Outlook")
    )  # fmt: skip
    return pl.concat_str(how, who, *notes(), separator="; ", ignore_nulls=True)


HUNT = Hunt(
    id="outlook-com-activation",
    title="Outlook started through COM",
    severity=Severity.LOW,
    risk_score=21,
    attack=("T1559.001", "T1021.003"),
    needs=NEEDS,
    find=find,
    helps=helps(),
    reads=READS,
    instead=INSTEAD,
    unknowns=UNNAMED,
    of_starts=True,
)
