"""What Timesketch gets: a row for each event of a finding, with its time and what the finding says.

Its importer needs `message`, `datetime` (ISO 8601) and `timestamp_desc`, drops rows whose time it can't read, and takes
`tag` for a list. The other names are Plaso's for Windows event logs as far as it has them, else ours.
See: https://timesketch.org/guides/user/import-from-json-csv/
"""

from __future__ import annotations

import polars as pl

from hunt import findings, schema
from hunt.model import Report
from hunt.output._deed import message

# Of a finding; of its event.
_OF_FINDING = (
    *("finding_id", "query", "title", "severity", "risk_score", "confidence", "grade", "host", "user", "suppressed"),
    *("process_guid", "pid", "image", "command_line", "parent_image", "parent_command_line"),
    *("target_process_guid", "target_pid", "target_image", "target_command_line"),
    *("sha256", "signer", "source_ip", "actor", "object", "action", "techniques", "reason"),
)
_NAMED = {"channel": "channel", "event_id": "event_identifier", "record_id": "record_number", "fields": "fields"}

# Plaso's word for rows without one; Timesketch would drop them.
_TIMELESS, _NO_TIME = "1970-01-01T00:00:00.000000+00:00", "Not a time"


def rows(report: Report) -> pl.DataFrame:
    """message, datetime, timestamp_desc, timestamp (µs), data_type, tag (a list), and the rest; by time."""
    of_finding = report.findings.with_columns(
        pl.Series("message", [message(row) for row in report.findings.iter_rows(named=True)], dtype=pl.String),
        pl.coalesce("end", "start").alias("_time"),
    )
    own = report.events.select("finding_id", "step", "time", *_NAMED).rename(_NAMED)
    steps = pl.len().over("finding_id")
    numbered = own.with_columns(pl.when(pl.col("step").is_not_null()).then(steps).alias("_steps"))
    told = of_finding.join(numbered, on="finding_id", how="left", maintain_order="left_right")
    # An event without a time stands where its finding does.
    time = pl.coalesce("time", "_time")
    label = pl.format("[{}] {} ", "severity", "query")
    step = pl.when(pl.col("_steps") > 1).then(pl.format("(event {} of {}) ", "step", "_steps")).otherwise(pl.lit(""))
    tags = pl.concat_list(pl.col("severity", "query"), pl.col("techniques").fill_null([]), _suppressed())
    return (
        told.with_columns(time.alias("_at"))
        .sort("_at", "finding_id", "step", nulls_last=True, maintain_order=True)
        .select(
            pl.concat_str(label, step, "message").alias("message"),
            _iso("_at").fill_null(_TIMELESS).alias("datetime"),
            pl.when(pl.col("_at").is_null()).then(pl.lit(_NO_TIME)).otherwise(pl.lit("Event Logged"))
            .alias("timestamp_desc"),
            pl.col("_at").dt.timestamp("us").fill_null(0).alias("timestamp"),
            pl.lit("evtx_hunt:finding:event").alias("data_type"),
            tags.alias("tag"),
            pl.col("host").alias("computer_name"),
            *(c for c in _OF_FINDING if c != "host"),
            "step",
            *_NAMED.values(),
            *(pl.col(c).alias(f"finding_{c}") for c in ("start", "end")),
        )
    )  # fmt: skip


def _iso(column: str) -> pl.Expr:
    """With its zone as Timesketch prints it."""
    return schema.time_text(pl.col(column)).str.replace("Z$", "+00:00")


def _suppressed() -> pl.Expr:
    empty = pl.lit([], findings.TEXTS)
    return pl.when(pl.col("suppressed").is_not_null()).then(pl.lit(["suppressed"], findings.TEXTS)).otherwise(empty)
