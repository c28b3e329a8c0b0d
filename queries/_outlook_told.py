"""What the hunts on Outlook say of a request: how sure, how bad, and why."""

from __future__ import annotations

import polars as pl

from hunt.findings import REFERENCE, TEXTS
from hunt.model import Severity
from hunt.schema import hex_text, seconds

from ._outlook import BY_PID, CHILD, grade_order
from ._outlook_window import sure

# The relation is sure in direct findings, and much that is harmless starts Outlook so: their severity and risk are
# those of Elastic's rule. COM is the technique itself; below C nothing but time and identity speak for a requester.
SEVERITY = {
    "direct": (Severity.MEDIUM, 47),
    "A": (Severity.HIGH, 73),
    "B": (Severity.HIGH, 73),
    "C": (Severity.MEDIUM, 47),
    "D": (Severity.LOW, 21),
    "E": (Severity.INFORMATIONAL, 10),
    "F": (Severity.INFORMATIONAL, 5),
}
_THROUGH = {
    "com": "COM",
    "com_elevated": "COM",
    "com_surrogate": "a COM surrogate",
    "com_shell": "the desktop's COM server",
    "wmi": "WMI",
    "scm": "the service manager",
    "task": "a scheduled task",
    "task_or_service": "a task or another service",
    "unknown": "a creator that is not known",
    "winrm": "WinRM",
}


def not_disproved() -> pl.Expr:
    """Not those whom grade A clears, as it gives the start to another process: who has only time and identity on his
    side. A command line or script that names the act is not cleared so: a client that is older than its contact, as
    most are, leaves no pair, and another one may meet the same thread by chance."""
    return (pl.col("best") != "A") | pl.col("grade").is_in(["direct", "A", "B"])


def likeliest(rows: pl.LazyFrame) -> pl.LazyFrame:
    """One request for each start of Outlook: the surest, then the likeliest, then the one that started last."""
    order = ("_grade", "rank", "r_start", "r_record_id")
    ordered = rows.with_columns(grade_order().alias("_grade")).sort(
        order, descending=[False, False, True, True], nulls_last=True
    )
    return ordered.unique(CHILD, keep="first", maintain_order=True).drop("_grade")


def told(rows: pl.LazyFrame, what: pl.Expr, longest: int | None = None, named: pl.Expr | None = None) -> pl.LazyFrame:
    """Requests as findings. `what` begins the reason: who it is, "a script host" say; `named`: how it is called after.

    `longest`: the window in ns, outside of which a finding may lie and is uncertain then; None: it has no part in it.
    """
    known = pl.col("doubt").ne_missing(BY_PID) if longest is None else sure(longest)
    named = what if named is None else named
    return columns(rows.with_columns(known.alias("_sure"), named.alias("_named")), _reason(what), events())


_AS_THEY_ARE = "grade competitors ambiguous locality origin source_ip attached start_source"


def columns(rows: pl.LazyFrame, reason: pl.Expr, of: pl.Expr, **others: pl.Expr) -> pl.LazyFrame:
    """The columns of findings, for requests with `_sure`; `of`: their events; `others`: columns told otherwise."""
    told_by_grade = {name: _by_grade(n) for n, name in enumerate(("severity", "risk_score"))}
    own = {
        **told_by_grade,
        "confidence": _confidence(),
        "reason": reason,
        "evidence": _evidence(),
        "events": of,
        **others,
    }
    return rows.select(
        *_process(),
        *_span(),
        *_AS_THEY_ARE.split(),
        *(value.alias(name) for name, value in own.items()),
    )


def _process() -> list[pl.Expr]:
    return [
        pl.col("c_host").alias("host"),
        pl.coalesce("r_user", "c_user").alias("user"),
        pl.col("r_guid").alias("process_guid"),
        pl.col("r_pid").alias("pid"),
        pl.col("r_image").alias("image"),
        pl.col("r_command_line").alias("command_line"),
        pl.col("r_parent_image").alias("parent_image"),
        pl.col("r_parent_command_line").alias("parent_command_line"),
        pl.col("r_sha256").alias("sha256"),
        pl.col("signer"),
        pl.col("r_integrity").alias("integrity"),
        pl.col("r_session").alias("session"),
        hex_text(pl.col("r_logon_id")).alias("logon_id"),
        *target(),
    ]


def target() -> list[pl.Expr]:
    """Outlook, as the process that a finding ends with."""
    return [
        pl.col("c_guid").alias("target_process_guid"),
        pl.col("c_pid").alias("target_pid"),
        pl.col("c_image").alias("target_image"),
        pl.col("c_command_line").alias("target_command_line"),
    ]


def _span() -> list[pl.Expr]:
    return [
        pl.coalesce("r_start", "c_start").alias("start"),
        pl.col("c_start").alias("end"),
        seconds(pl.col("gap")).alias("span_seconds"),
    ]


def _by_grade(part: int) -> pl.Expr:
    values = {grade: str(both[part]) for grade, both in SEVERITY.items()}
    value = pl.col("grade").replace_strict(values, return_dtype=pl.String)
    return value if part == 0 else value.cast(pl.Int64)


def _confidence() -> pl.Expr:
    graded = pl.col("grade").replace_strict(
        {"direct": "high", "A": "high", "B": "medium", "C": "medium"}, default="low", return_dtype=pl.String
    )
    return (
        pl.when(~pl.col("_sure"))
        .then(pl.lit("uncertain"))
        .when(pl.col("source") == "security")
        .then(pl.lit("low"))
        .when((pl.col("start_source") == "guid") & (graded == "high"))
        .then(pl.lit("medium"))
        .otherwise(graded)
    )


def _reason(what: pl.Expr) -> pl.Expr:
    direct = pl.col("grade") == "direct"
    return pl.concat_str(
        pl.format("{} {}", what, _did()),
        pl.when(direct).then(_named_as_parent()).otherwise(_asked()),
        *notes(),
        separator="; ",
        ignore_nulls=True,
    )


def _named_as_parent() -> pl.Expr:
    named, unlogged = pl.col("_named"), pl.col("r_event_id").is_null()
    to_the_second = pl.format("known to the second, {}'s start may lie outside the window", named)
    return (
        pl.when(~pl.col("_sure"))
        .then(pl.format("uncertain: {}", pl.coalesce("doubt", to_the_second)))
        .when(unlogged & pl.col("r_start").is_null())
        .then(pl.format("it is named as the creator, {}'s start is not in the evidence", named))
        .when(pl.col("source") == "security")
        .then(pl.format("Security 4688 names its creator by a process id that was {}'s then", named))
        .when(unlogged)
        .then(pl.format("{}'s start is not in the evidence, its second is in its ProcessGuid", named))
        .otherwise(pl.format("its ParentProcessGuid names {}'s start", named))
    )


def _asked() -> pl.Expr:
    doubtful = pl.col("r_event_id").is_null() & ~pl.col("_sure")
    late = pl.format("{}; uncertain: known to the second, its start may lie outside the window", meaning())
    return pl.when(doubtful).then(late).otherwise(meaning())


def _did() -> pl.Expr:
    through = pl.col("mechanism").replace_strict(_THROUGH, default=None, return_dtype=pl.String)
    return (
        pl.when(pl.col("grade") == "direct")
        .then(pl.lit("started Outlook"))
        .otherwise(pl.format("asked for Outlook through {}", through.fill_null("a broker")))
    )


def meaning() -> pl.Expr:
    """What the grade says, and by what."""
    said = pl.col("evidence").list.join(", ")
    identity = ~pl.col("mechanism").is_in(["scm", "task", "task_or_service"])
    texts = {
        "A": pl.lit("the COM service opened both in the same thread (EID 10)"),
        "B": said,
        "C": pl.when(said.str.contains("COM client", literal=True))
        .then(pl.lit("it is a COM client of the same logon"))
        .otherwise(said),
        "D": pl.lit("the same logon and the time fit, no more is known"),
        "E": pl.format("{}, and the time fits, no more is known", said),
        "F": pl.when(identity).then(pl.lit("only the time fits")).otherwise(
            pl.lit("only the time fits: what a service or task starts need not have its requester's identity")
        ),
    }  # fmt: skip
    return pl.coalesce(
        pl.when(pl.col("grade") == grade).then(pl.concat_str(pl.lit(f"grade {grade}: "), text))
        for grade, text in texts.items()
    )


def notes() -> list[pl.Expr]:
    """What else is to be said of a request."""
    others, unseen, age = pl.col("competitors"), pl.col("left_over"), pl.col("file_age_s").round(3).cast(pl.String)
    return [
        pl.when(others == 1).then(pl.lit("one other process fits as well")),
        pl.when(others > 1).then(pl.format("{} other processes fit as well", others)),
        pl.when(unseen > 0).then(
            # Of those that have nothing but identity and time, they are counted as competitors.
            pl.when(pl.col("grade") >= "D")
            .then(pl.format("{} of these started in time and were not looked at", unseen))
            .otherwise(pl.format("{} more started in time and were not looked at", unseen))
        ),
        pl.when(pl.col("best") < pl.col("grade")).then(pl.format("another process fits better: grade {}", "best")),
        pl.when(pl.col("attached")).then(pl.lit("handed over to an Outlook that was running already")),
        pl.when(pl.col("signature").is_in(["unsigned", "invalid"])).then(
            pl.format("its file is {}", pl.col("signature").replace({"invalid": "signed, but not validly"}))
        ),
        pl.when(pl.col("unsigned_and_new")).then(pl.format("its file was made {} s before it started", age)),
        pl.when(pl.col("timestomped")).then(pl.lit("the creation time of its file was changed (EID 2)")),
        pl.when(pl.col("source") == "security").then(
            pl.lit("known from Security 4688 alone, without Sysmon: lower confidence")
        ),
    ]


def _evidence() -> pl.Expr:
    more = [
        pl.when(pl.col("signature").is_in(["unsigned", "invalid"])).then("signature"),
        pl.when(pl.col("unsigned_and_new")).then(pl.lit("new file")),
        pl.when(pl.col("timestomped")).then(pl.lit("timestomped")),
    ]
    return pl.concat_list(pl.col("evidence").fill_null([]), pl.concat_list(more).list.drop_nulls()).cast(TEXTS)


def events() -> pl.Expr:
    """The start of the requester, where it was logged, and that of Outlook."""
    requester = pl.concat_list(_reference("r_", 1), _reference("c_", 2))
    return pl.when(pl.col("r_event_id").is_not_null()).then(requester).otherwise(child_alone())


def child_alone() -> pl.Expr:
    """The start of Outlook."""
    return pl.concat_list(_reference("c_", 1))


def _reference(prefix: str, step: int) -> pl.Expr:
    own = {"time": "start"}
    return pl.struct(
        pl.lit(step, pl.UInt32).alias("step"),
        *(
            pl.col(f"{prefix}{own.get(field.name, field.name)}").alias(field.name)
            for field in REFERENCE.fields
            if field.name != "step"
        ),
    )
