"""Who may have started Outlook, or asked for it, and how that is known: one row a request."""

from __future__ import annotations

import polars as pl

from hunt import lineage, signatures
from hunt.lineage import explained, security
from hunt.lineage.drivers import DESCRIPTIONS, ORIGINAL_NAMES, SCRIPT_HOSTS
from hunt.lineage.hand_offs import handed_over
from hunt.model import SYSMON, Case
from hunt.processes import base_name
from hunt.schema import TEXTS

from ._outlook import CHILD, CHILD_OF, OUTLOOK, PROCESS, REQUESTS
from ._outlook_explorer import SAID, behind_explorer
from ._outlook_listed import listed
from ._outlook_parents import MAY_BE, by_security, by_sysmon, in_security, outlooks
from ._outlook_window import inside, long_ago, outside, window

# As `signatures.known` calls the requester's columns.
_FILE = {"host": "r_host", "guid": "r_guid", "image": "r_image", "start": "r_start", "sha256": "r_sha256"}


def requests(case: Case) -> pl.LazyFrame:
    """One row for each start of Outlook and process that may have asked for it, as parent or through a broker.

    Columns: REQUESTS; `script_host`, `renamed` (a script host under another name); `signature`, `signer`,
    `file_age_s`, `timestomped`, `unsigned_and_new` of `hunt.signatures`; `listed`. Requesters that lineage
    excludes are left out, and of those that a broker acted for all but the likeliest of their kind, within the window
    and before it.
    """
    parts = by_sysmon(case)
    if in_security(case):
        parts += by_security(case)
    if _may_be_brokered(case):
        parts.append(_brokered(case))
    # Few rows from here on, which several joins read.
    known = _handed_over(case, pl.concat([_typed(part) for part in parts]).collect()).lazy()
    judged = signatures.known(case, known.with_columns(pl.col(theirs).alias(ours) for ours, theirs in _FILE.items()))
    return judged.drop(*_FILE).with_columns(_script_host("r_image"), _renamed("r_"), listed("r_image"))


def _typed(part: pl.LazyFrame) -> pl.LazyFrame:
    there = set(part.collect_schema())
    return part.select((pl.col(c) if c in there else pl.lit(None)).cast(d).alias(c) for c, d in REQUESTS.items())


def _script_host(image: str) -> pl.Expr:
    return base_name(image).is_in(SCRIPT_HOSTS).fill_null(value=False).alias("script_host")


def _renamed(prefix: str = "") -> pl.Expr:
    original = base_name(f"{prefix}original_file_name").str.replace(r"\.mui$", "")
    told = pl.when(~original.is_in(["", "-", "?"])).then(original.is_in(ORIGINAL_NAMES))
    described = pl.col(f"{prefix}description").str.to_lowercase().str.strip_chars().is_in(DESCRIPTIONS)
    other = ~base_name(f"{prefix}image").is_in(SCRIPT_HOSTS)
    return (other & pl.coalesce(told, described)).fill_null(value=False).alias("renamed")


def _may_be_brokered(case: Case) -> bool:
    """Whether anything but a script host or the desktop stands as a parent: lineage is dear."""
    if in_security(case):
        return True
    parent, line = base_name("ParentImage").fill_null(""), pl.col("ParentCommandLine").fill_null("")
    desktop = (parent == "explorer.exe") & ~line.str.contains("(?i)/factory")
    direct = parent.is_in([OUTLOOK, *SCRIPT_HOSTS]) | desktop
    met = outlooks(case, SYSMON, 1, "Image", "ParentImage", "ParentCommandLine")
    return bool(met.select((~direct).any()).collect().item())


_OF_CHILD = ("mechanism", "locality", "origin", "source_ip", "attached", "left_over")


def _traced(case: Case, *more: str) -> pl.LazyFrame:
    """What lineage says of each Outlook that a broker started: child_row, _OF_CHILD and more."""
    met = case.lineage.filter(base_name("child_image") == OUTLOOK)
    return met.rename({"source_address": "source_ip"}).select("child_row", *_OF_CHILD, *more)


def _brokered(case: Case) -> pl.LazyFrame:
    """Outlook and who may have asked COM, WMI or another broker for it, the likeliest of each kind."""
    children = _traced(case, "grade", "competitors", "ambiguous").collect().lazy()
    pairs = behind_explorer(case, case.possible_requesters(children.select("child_row").collect()["child_row"]))
    chosen = _likeliest_of_their_kind(case, pairs, children)
    both = pl.concat([chosen.select("candidate_row"), children.select(candidate_row="child_row")])
    known = _rows(case, both, "host_key", "source", *PROCESS).collect().lazy()
    theirs = {c: f"r_{c}" for c in PROCESS} | {"row": "candidate_row"}
    own = {c: f"c_{c}" for c in PROCESS} | {"row": "child_row"}
    evidence = pl.col("flags").map_batches(explained, TEXTS)
    said = pl.when("behind").then(pl.concat_list(pl.lit([SAID], TEXTS), evidence)).otherwise(evidence)
    return (
        chosen.with_columns(said.alias("evidence"))
        .join(children.select("child_row", *_OF_CHILD), on="child_row")
        .join(known.drop("host_key", "source").rename(theirs), on="candidate_row")
        .join(known.rename(own), on="child_row")
    )


def _likeliest_of_their_kind(case: Case, pairs: pl.LazyFrame, children: pl.LazyFrame) -> pl.LazyFrame:
    """Few of many pairs: those of `behind_explorer` with `ambiguous`, `best`, `leads`.

    A hunt asks for the likeliest of some kinds; of a kind none but the likeliest can be that. `children`: as lineage
    has them. Of the best grade it says how many compete, here it is counted for the others.
    """
    who = _kinds(case, pairs.select("candidate_row"))
    # Those that were not looked at have nothing but identity and time.
    unseen = pl.when(pl.col("grade") >= "D").then("left_over").otherwise(0)
    others = pl.col("competitors") + unseen
    best = pl.col("grade") == pl.col("best")
    lead = pl.col("script_host") & (pl.col("grade") == "D")
    kind = ("child_row", "script_host", "renamed", "unsigned_and_new", "listed", "_inside", "_outside")
    of_best = {"grade": "best", "competitors": "_competitors", "ambiguous": "_ambiguous"}
    return (
        pairs.join(who, left_on="candidate_row", right_on="row", maintain_order="left")
        .join(
            children.select("child_row", "left_over", *of_best).rename(of_best), on="child_row", maintain_order="left"
        )
        .with_columns(
            pl.when(best).then("_competitors").otherwise(others).alias("competitors"),
            pl.when(best).then("_ambiguous").otherwise(others > 0).alias("ambiguous"),
            lead.sum().over("child_row").alias("leads"),
            inside(window(case)).alias("_inside"),
            outside(long_ago(case)).alias("_outside"),
        )
        .unique(kind, keep="first", maintain_order=True)  # they are by rank
        .drop(*kind[1:], "_competitors", "_ambiguous", "left_over")
        .collect()
        .lazy()
    )


def _rows(case: Case, rows: pl.LazyFrame, *columns: str) -> pl.LazyFrame:
    """`row` and these columns of the processes that these `candidate_row` are."""
    some = rows.select(pl.col("candidate_row").alias("row")).unique()
    stored = [c for c in ("hashes", "event_id", *columns) if c not in lineage.DERIVED]
    few = case.processes.select(*dict.fromkeys(("row", *stored))).join(some, on="row", how="semi").collect()
    # What is derived is dear to tell of all processes.
    return few.lazy().with_columns(**lineage.DERIVED).select("row", *columns)


def _kinds(case: Case, rows: pl.LazyFrame) -> pl.LazyFrame:
    """row, script_host, renamed, unsigned_and_new, listed of the processes that these `candidate_row` are."""
    if signatures.any_known(case):
        told = signatures.known(case, _rows(case, rows, *_FILE, "original_file_name", "description"))
    else:  # then no signature is known
        told = _rows(case, rows, "image", "original_file_name", "description").with_columns(
            pl.lit(None, pl.Boolean).alias("unsigned_and_new"),
            pl.lit("unknown").alias("signature"),
            pl.lit(None, pl.String).alias("signer"),
        )
    return told.select("row", _script_host("image"), _renamed(), listed("image"), "unsigned_and_new")


def _handed_over(case: Case, known: pl.DataFrame) -> pl.DataFrame:
    """With `attached` of direct requests, too: lineage tells it of those that a broker acted for.

    Only on hosts where any Outlook is known to have ended; all processes are dear.
    """
    ends = _ends(case)
    direct = (known["grade"] == "direct") & known["host_key"].is_in(ends.implode())
    if not direct.any():
        return known
    rows = case.processes.filter(pl.col("image").str.contains(MAY_BE)).select(
        "row", "image", "user", "session", "end", *CHILD_OF
    )
    outlooks = rows.collect()
    short = outlooks.filter(pl.col("row").is_in(handed_over(outlooks).implode()))
    own = short.select(*(pl.col(theirs).alias(ours) for theirs, ours in CHILD_OF.items()), _attached=True).unique()
    joined = known.join(own, on=CHILD, how="left", nulls_equal=True, maintain_order="left")
    told = pl.col("_attached").fill_null(value=False)
    return joined.with_columns(pl.when(direct).then(told).otherwise("attached").alias("attached")).drop("_attached")


def _ends(case: Case) -> pl.Series:
    """The keys of hosts on which any Outlook is known to have ended."""
    kinds = ((SYSMON, 5, "Image"), (security.SECURITY, 4689, "ProcessName"))
    met = [outlooks(case, *kind, "host").select(pl.col("host").str.to_lowercase().unique()).collect() for kind in kinds]
    return pl.concat(met)["host"].unique()


_THROUGH = ("mechanism", "locality", "origin", "source_ip")


def brokers(case: Case) -> pl.LazyFrame:
    """How each start of Outlook that a broker made was made: CHILD, `mechanism`, `locality`, `origin`, `source_ip`."""
    if not _may_be_brokered(case):
        return pl.LazyFrame(schema={c: REQUESTS[c] for c in (*CHILD, *_THROUGH)})
    known = case.processes.select(pl.col("row").alias("child_row"), *CHILD_OF).rename(CHILD_OF)
    return known.join(_traced(case), on="child_row").select(*CHILD, *_THROUGH)


_OF_START = ("host_key", "source", *_OF_CHILD)


def activations(case: Case) -> pl.LazyFrame:
    """One row for each start of Outlook by COM: `host_key`, its columns `c_`, `source` and what lineage says of it.

    That is `mechanism`, `locality`, `origin`, `source_ip`, `attached`, `left_over`. A start in the Security log without
    a command line is taken for one if svchost.exe made it.
    """
    own = {c: f"c_{c}" for c in PROCESS}
    if not _may_be_brokered(case):
        return pl.LazyFrame(schema={c: REQUESTS[c] for c in (*_OF_START, *own.values())})
    unmarked = (pl.col("source") == "security") & pl.col("command_line").is_null()
    by_com = (pl.col("mechanism") == "com") | (unmarked & (base_name("parent_image") == "svchost.exe"))
    started = case.processes.filter(pl.col("image").str.contains(MAY_BE), pl.col("event_id").is_not_null())
    return (
        started.filter(base_name("image") == OUTLOOK)
        .join(_traced(case).rename({"child_row": "row"}), on="row", how="left")
        .filter(by_com)
        .select(*_OF_START, *PROCESS)
        .rename(own)
    )
