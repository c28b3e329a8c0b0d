"""What the hunts on the Exchange Management log share: what they read, how a cmdlet becomes a finding."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import polars as pl

from hunt import exchange
from hunt.cmdlet_parameters import values
from hunt.findings import TEXTS, named, reference
from hunt.model import Case, Help, Severity

NEEDS, INSTEAD, READS = exchange.NEEDS, exchange.INSTEAD, exchange.READS
HELPS = (Help(exchange.CHANNEL, 6, "failed attempts would not be seen"),)
WINDOW_S = 86_400.0

# By weight: 0 is worth a look in a quiet hour, 4 is an attack unless somebody can explain it.
_WEIGHTS = tuple(zip(Severity, (10, 21, 47, 73, 99), strict=True))


@dataclass(frozen=True, slots=True)
class Sign:
    """What makes a cmdlet worth a look: `when` it holds, what is `said` of it, how much it weighs."""

    name: str
    when: pl.Expr
    said: pl.Expr | str
    weight: int


def window(case: Case) -> int:
    """How far apart two cmdlets may be that belong together, in ns, inclusive."""
    window_s = WINDOW_S if case.settings.window_s is None else case.settings.window_s
    return round(window_s * 1_000_000_000)


def who() -> pl.Expr:
    """By what a caller is known again, on all servers of the organisation; of those without a name, by the server.

    SIDs of a domain are the same everywhere, those of a machine's own accounts (S-1-5-18) are not.
    """
    key = pl.col("caller_key")
    own = key.str.starts_with("s-1-") & ~key.str.starts_with("s-1-5-21-")
    here = pl.concat_str(pl.col("host_key").fill_null(""), key.fill_null("?"), separator="|")
    return pl.when(key.is_null() | own).then(here).otherwise(key)


def nearest(
    rows: pl.DataFrame,
    others: pl.DataFrame,
    by: Sequence[str],
    within: int,
    strategy: Literal["backward", "forward"] = "forward",
) -> pl.DataFrame:
    """For each of the rows (`row`) the next of the others (`other`), or the last before, within so many ns, inclusive.

    Both need `time` and the keys `by`; without a time or a key, nothing is joined. Columns: row, other.
    """
    left = rows.select("row", "time", *by).drop_nulls().sort("time", "row")
    right = others.select("time", *by, other="row").drop_nulls().sort("time", "other")
    # Both sides are sorted as a whole; join_asof can't check that within groups, and says so.
    met = left.join_asof(
        right, on="time", by=list(by), strategy=strategy, tolerance=f"{within}ns", check_sortedness=False
    )
    return met.select("row", "other").drop_nulls()


def around(case: Case, rows: pl.DataFrame, by: str, counted: str, many: int) -> pl.DataFrame:
    """row, many: how many new values of `counted` a `by` has within the window before or after; rows with few left out.

    New is what it did not have earlier in the evidence: so the count takes no longer for windows that hold much.
    """
    fresh = (
        rows.drop_nulls(["time", by, counted]).sort("time", "row").filter(pl.struct(by, counted).is_first_distinct())
    )
    if fresh.height < many:
        return pl.DataFrame(schema={"row": rows.schema["row"], "many": pl.Int64})
    steps = fresh.select(by, "time", count=pl.int_range(1, pl.len() + 1).over(by))
    span = pl.duration(nanoseconds=window(case), time_unit="ns")
    asked = rows.drop_nulls(["time", by]).select("row", by, "time")
    ends = []
    for name, at, exact in (("before", pl.col("time") - span, False), ("upto", pl.col("time") + span, True)):
        met = asked.select("row", by, time=at).sort("time", "row").join_asof(
            steps, on="time", by=by, strategy="backward", allow_exact_matches=exact, check_sortedness=False
        )  # fmt: skip
        ends.append(met.select("row", pl.col("count").fill_null(0).alias(name)))
    both = ends[0].join(ends[1], on="row").select("row", many=pl.col("upto") - pl.col("before"))
    return both.filter(pl.col("many") >= many)


MANY_SAID = pl.format("one of {} mailboxes around that time", "many")


def commands(case: Case, *names: str, mentions: str = "") -> pl.LazyFrame:
    """`exchange.COLUMNS` of these cmdlets, and `attempt`: it did not succeed. In order of time; few, and collected.

    `mentions`: only those whose parameters, as text, match it: some cmdlets are run all day for other things.
    """
    rows = exchange.cmdlets(case, names, mentions).with_columns(attempt=pl.col("outcome") != "succeeded")
    return rows.sort("time", "host_key", "record_id").collect().lazy()


def is_cmdlet(*names: str) -> pl.Expr:
    return pl.col("cmdlet").str.to_lowercase().is_in([name.lower() for name in names])


def said_any(name: str, pattern: str) -> pl.Expr:
    """Whether what a parameter says, in lower case, matches a pattern."""
    return (
        values(name).list.eval(pl.element().str.to_lowercase().str.contains(pattern)).list.any().fill_null(value=False)
    )


def true(name: str) -> pl.Expr:
    """Whether a parameter is on: True, or a switch without a value."""
    return said_any(name, r"^(\$?true|1|)$")


def false(name: str) -> pl.Expr:
    return said_any(name, r"^(\$?false|0)$")


def leaf(identity: pl.Expr) -> pl.Expr:
    r"""What different ways to name the same mailbox or user have in common, in lower case.

    bob of bob, bob@contoso.example, smtp:bob@..., CONTOSO\bob, contoso.example/Users/bob and CN=bob,OU=... .
    """
    last = identity.str.to_lowercase().str.strip_prefix("smtp:").str.strip_prefix("cn=").str.extract(r"([^\\/]*)$")
    return last.str.extract("^([^@,]*)")


def weighed(rows: pl.LazyFrame, base: pl.Expr | int, signs: Sequence[Sign]) -> pl.LazyFrame:
    """With `weight` (the heaviest of `base` and the signs, an attempt's one less), `signs` and what they `said`."""
    weights = [pl.when(sign.when).then(sign.weight) for sign in signs]
    heaviest = pl.max_horizontal(base if isinstance(base, pl.Expr) else pl.lit(base), *weights).cast(pl.Int64)
    said = [pl.when(s.when).then(pl.lit(s.said) if isinstance(s.said, str) else s.said) for s in signs]
    names = [pl.when(sign.when).then(pl.lit(sign.name)) for sign in signs]
    return rows.with_columns(
        weight=pl.when("attempt").then((heaviest - 1).clip(0)).otherwise(heaviest),
        signs=pl.concat_list(pl.lit(None, pl.String), *names).list.drop_nulls(),
        said=pl.concat_str(pl.lit(None, pl.String), *said, separator="; ", ignore_nulls=True),
    )


def severity() -> pl.Expr:
    return _by_weight({n: str(severity.value) for n, (severity, _) in enumerate(_WEIGHTS)})


def risk_score() -> pl.Expr:
    return _by_weight({n: str(risk) for n, (_, risk) in enumerate(_WEIGHTS)}).cast(pl.Int64)


def _by_weight(by: dict[int, str]) -> pl.Expr:
    return pl.col("weight").replace_strict(by, return_dtype=pl.String)


def failure() -> pl.Expr:
    """What is said of a cmdlet that did not succeed; null of others."""
    error = pl.col("error").str.slice(0, 200).str.replace_all(r"\s+", " ")
    attempt = pl.format("an attempt: it {}", "outcome")
    return pl.when("attempt").then(pl.concat_str(attempt, error, separator=": ", ignore_nulls=True))


def reason(what: pl.Expr) -> pl.Expr:
    """What was done, what is unusual in it, and whether it failed."""
    said = pl.when(pl.col("said") != "").then("said")
    return pl.concat_str(what, said, failure(), separator="; ", ignore_nulls=True)


def confidence() -> pl.Expr:
    """Lower where nobody is named who did it, as in shippers' sentences."""
    return pl.when(pl.col("caller").is_null()).then(pl.lit("medium")).otherwise(pl.lit("high"))


def line(prefix: str = "") -> pl.Expr:
    """The cmdlet with its parameters."""
    return pl.concat_str(f"{prefix}cmdlet", f"{prefix}arguments", separator=" ", ignore_nulls=True)


def told(rows: pl.LazyFrame, object_: pl.Expr, why: pl.Expr, **others: pl.Expr) -> pl.LazyFrame:
    """The columns of findings, of one cmdlet each, out of `weighed` rows; `others`: columns told otherwise."""
    own = {
        "start": pl.col("time"),
        "end": pl.col("time"),
        "command_line": line(),
        "actor": pl.col("caller"),
        "object": object_,
        "action": pl.col("cmdlet"),
        "reason": why,
        "severity": severity(),
        "risk_score": risk_score(),
        "confidence": confidence(),
        "evidence": pl.col("signs").cast(TEXTS),
        "events": pl.concat_list(reference(1)),
        **others,
    }
    known = rows.collect_schema()
    if "offset" in known:  # of an audit log, which numbers no records
        own = {"source_ip": pl.col("client_ip"), **own, "events": pl.concat_list(named(1, "id")), **others}
    return rows.select("host", "user", "pid", *(value.alias(name) for name, value in own.items()))
