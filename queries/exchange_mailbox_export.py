"""A mailbox was exported to PST, or that was tried, and its request not removed (Exchange Management log).

Why it matters: one cmdlet takes all mail of a mailbox (T1114.002); nobody has the right to it unless it is given.
Looks alike, is harmless: archives of the mailboxes of those who left, migrations, requests of the law department; put
their account and path on the allowlist (`actor` and `object`).
Blind when: the cmdlet ran without role-based access control (a local snap-in: event 3, not logged by default); only the
first 200 characters of a value are logged.
How: one row for each request; those that exchange-export-removed tells are left out, if it is sure. Informational if
nothing is unusual, for to nobody but the organisation it is known what is; medium for a content filter, a share that
none of the earlier exports went to, five or more mailboxes within the window (24 hours), a request that removes itself;
high where the path leads to the server itself, an administrative share, a web root or a temporary folder, does not end
in .pst, or the caller was given the right shortly before; critical for a file that a web server runs. Failed requests
are attempts, one step lower. Low: a request that another account removed, or the same one later than the window; the
removal of a request whose creation is not in the evidence.
Next: ask who ordered it; stop the request if it runs (Remove-MailboxExportRequest after its statistics were saved),
secure the PST file and find who has read that path. A file with a script's extension, or below a web folder, is a web
shell until shown otherwise: isolate the server and look at its IIS logs.
See: https://attack.mitre.org/techniques/T1114/002/
"""

from __future__ import annotations

import polars as pl

from hunt.model import Case, Hunt, Severity
from hunt.schema import time_text

from ._exchange import HELPS, INSTEAD, NEEDS, READS, Sign, nearest, reason, told, weighed
from ._exchange_exports import exports, pairs, removals, signs, what
from ._exchange_roles import grants

_EVER = 10**18  # ns


def find(case: Case) -> pl.LazyFrame:
    """One row for each request that was not surely removed, and for each removal of a request that is not known."""
    made, removed = exports(case, grants(case)), removals(case)
    matched = pairs(case, made, removed)
    sure = matched.filter(pl.col("sure") != "none")
    left = _ended(made.join(sure, on="row", how="anti", maintain_order="left"), removed)
    ended = Sign("removed otherwise", pl.col("ended").is_not_null(), pl.col("ended"), 1)
    asked = told(weighed(left.lazy(), 0, [*signs(), ended]), pl.coalesce("path", "mailbox"), reason(what()))
    known = removed.join(matched, left_on="row", right_on="other", how="anti", maintain_order="left")
    orphans = known.join(made, on=["box", "name"], how="anti", maintain_order="left")
    unknown = pl.format("the request {} was removed", pl.col("identity").fill_null("?"))
    said = pl.concat_str(unknown, pl.lit("; its creation is not in the evidence"))
    return pl.concat([asked, told(weighed(orphans.lazy(), 1, ()), pl.col("identity"), reason(said))])


def _ended(made: pl.DataFrame, removed: pl.DataFrame) -> pl.DataFrame:
    """With `ended`: how a request of the same mailbox and name was removed, by whomever and whenever; null if not."""
    worked = removed.filter(~pl.col("attempt"))
    by = pl.format(
        "its request was removed by {} at {}", pl.col("caller").fill_null("unknown"), time_text(pl.col("time"))
    )
    ends = nearest(made, worked, ["box", "name"], _EVER).join(worked.select(other="row", ended=by), on="other")
    return made.join(ends.select("row", "ended"), on="row", how="left", maintain_order="left")


HUNT = Hunt(
    id="exchange-mailbox-export",
    title="Mailbox exported to PST",
    severity=Severity.MEDIUM,
    risk_score=47,
    attack=("T1114.002",),
    needs=NEEDS,
    find=find,
    across_hosts=True,  # an organisation has several servers
    helps=HELPS,
    reads=READS,
    instead=INSTEAD,
)
