"""A PowerShell script searched or took mail of Exchange or Microsoft 365: MailSniper, its copies, scripts alike.

Why it matters: with one user's password MailSniper searches his mailbox, with the right to impersonate those of all,
for passwords and whatever else was asked for (T1114.002); it also harvests the address list (T1087.003).
Looks alike, is harmless: administrators' scripts that migrate, count or tidy up mail, tests of EWS and Autodiscover,
Exchange's own scripts.
Blind when: script block logging (4104), module logging (4103, 800) is off, and Windows did not take the script for
suspicious by itself; the script was run by another host than PowerShell; words were hidden otherwise than by backticks,
case, or texts put together of pieces.
How: one row for each script block, its parts joined, and one for all that 4103 and 800 tell of a script host and
caller. High: names of MailSniper's functions that no other tool has; a script that opens Exchange's web services (EWS)
and impersonates or takes attachments; Microsoft Graph asked for the messages of several users. Medium: EWS with a
search for mail, Search-Mailbox in a loop, Graph asked for messages; low: the address list taken, functions whose names
others have too. Informational: EWS without any search, as health checks do; what lies in Exchange's own folder of
scripts, where only administrators write.
Next: read the script whole: it names mailboxes, search words and files. Ask the account's owner; if it was not him,
isolate the host, secure what the script wrote, renew the account's credentials and take impersonation and search roles
off it. In Exchange's logs of that time look which mailboxes were opened; passwords that such a search finds are used
next, so renew them too.
See: https://attack.mitre.org/techniques/T1114/002/, https://attack.mitre.org/techniques/T1087/003/
"""

from __future__ import annotations

import polars as pl

from hunt.findings import TEXTS
from hunt.model import Case, Hunt, Severity

from ._exchange import Sign, reason, risk_score, severity, weighed
from ._script_blocks import NEEDS, loosely, plain, texts

# Functions of MailSniper 8ec5699: those that no other tool has, and those whose names others have as well.
_OWN = (
    r"invoke-(?:selfsearch|globalmailsearch|globalo365mailsearch|openinboxfinder|searchgmail|monitorcredsniper"
    r"|passwordspray(?:owa|ews|eas|gmail)|usernameharvest(?:owa|eas|gmail)|domainharvestowa|injectgeventapi"
    r"|injectgevent|addgmailrule)|send-ewsemail|get-adusernamefromews|loadewsdll|mailsniper"
)
_SHARED = r"\bget-(?:mailboxfolders|globaladdresslist|exoaccesstoken)\b"
_EWS = r"microsoft\.exchange\.webservices|\bexchangeservice\b|/ews/exchange\.asmx|ews\.managed|exchangewebservices"
_SEARCH = (
    r"\.finditems|findfolders\s*\(|\bitemview\b|\bfolderview\b|searchfilter|<(?:m:)?finditem|getitem>"
    r"|\.bindtoitems|findconversation"
)
_OTHERS = r"impersonateduserid|connectingidtype|exchangeimpersonation|x-anchormailbox"
_FILES = r"fileattachment|itemattachment|getattachment|propertyset.{0,80}mimecontent|mimecontent"
_GRAPH = (
    r"graph\.microsoft\.com[^\s'\"]{0,200}/(?:messages|mailfolders)"
    r"|get-mg(?:beta)?user(?:mailfolder)?message(?:content)?\b|invoke-mggraphrequest[^\n]{0,300}/(?:messages|mailfolders)"
)
# Where an address is put together of a server and a path.
_SERVER = r"graph\.microsoft\.com|outlook\.office(?:365)?\.com"
_PATH = r"/(?:me|users/[^\s/'\"]{1,200})/(?:messages|mailfolders)\b|entitytypes\W{1,20}message\b"
_ALL_USERS = r"/users/\$|get-mg(?:beta)?user\b[^\n]{0,100}-all|foreach[^\n]{0,200}users"
_SEARCH_MAILBOX = r"\bsearch-mailbox\b"
_LOOP = r"foreach|%\s*\{|get-mailbox\b[^\n]{0,300}\|"
_TAKES = r"-targetmailbox|-deletecontent"
_PEOPLE = r"findpeople|getpeoplefilters|globaladdresslist\b|offlineaddressbook|\.resolvename\s*\("
_CREDENTIALS = r"passw|credential|\bcreds?\b|\bvpn\b|\bsecret"
_ANY = "|".join((_OWN, _SHARED, _EWS, _GRAPH, _SEARCH_MAILBOX, _PEOPLE))
# Where Exchange's setup puts scripts, which only administrators may change.
_THEIRS = r"^[a-z]:\\program files\\microsoft\\exchange server\\v1[45]\\(?:scripts|bin|remotescripts)\\"


# What is looked for in all that PowerShell wrote down; the patterns above are asked of what has one of these alone.
_WORDS = (
    "mailsniper", "selfsearch", "globalmailsearch", "globalo365mailsearch", "openinboxfinder", "searchgmail",
    "monitorcredsniper", "passwordsprayowa", "passwordsprayews", "passwordsprayeas", "passwordspraygmail",
    "usernameharvest", "domainharvestowa", "injectgevent", "addgmailrule", "ewsemail", "adusernamefromews",
    "loadewsdll", "get-mailboxfolders", "exoaccesstoken", "exchange.webservices", "exchangeservice", "exchange.asmx",
    "graph.microsoft.com", "get-mguser", "get-mgbetauser", "mggraphrequest", "search-mailbox", "findpeople",
    "getpeoplefilters", "globaladdresslist", "offlineaddressbook", "resolvename", "ews.managed",
    "exchangewebservices", "outlook.office",
)  # fmt: skip


def find(case: Case) -> pl.LazyFrame:
    """One row for each script block, or caller, that searches mail."""
    rows = _marked(texts(case, loosely(*_WORDS)).lazy())
    blocks = rows.filter(pl.col("kind") == "script block").with_columns(calls=pl.col("parts"))
    known = pl.concat([blocks, _called(rows.filter(pl.col("kind") != "script block"))], how="diagonal_relaxed")
    base = (
        pl.when(pl.col("ews") & pl.col("search") | pl.col("graph") | pl.col("searches") & pl.col("loop"))
        .then(2)
        .when(pl.col("shared") | pl.col("people") | pl.col("searches"))
        .then(1)
        .otherwise(0)
    )
    told = known.with_columns(attempt=pl.lit(value=False), outcome=pl.lit(""), error=pl.lit(None, pl.String))
    judged = weighed(told, base, _signs()).with_columns(weight=pl.when("theirs").then(0).otherwise("weight"))
    lost = pl.col("total").fill_null(1) - pl.col("parts").fill_null(1)
    lack = pl.when(lost > 0).then(pl.format("{} of its {} parts are not in the evidence", lost, "total"))
    return judged.select(
        "host",
        "start",
        "end",
        "pid",
        user=pl.col("sid"),
        command_line=pl.col("text").str.slice(0, 2000),
        actor=pl.col("sid"),
        object=pl.col("path"),
        action=pl.col("names").list.join(", "),
        techniques=_techniques(),
        reason=pl.concat_str(
            reason(pl.format("a {} that {}", "kind", _what())), lack, separator="; ", ignore_nulls=True
        ),
        severity=severity(),
        risk_score=risk_score(),
        confidence=pl.when("own").then(pl.lit("high")).otherwise(pl.lit("medium")),
        evidence=pl.col("signs").cast(TEXTS),
        events=pl.col("events"),
    )


def _marked(rows: pl.LazyFrame) -> pl.LazyFrame:
    """Those that have anything to do with mail, with what they have."""

    def has(pattern: str) -> pl.Expr:
        return pl.col("_plain").str.contains(pattern).fill_null(value=False)

    put_together = has(_SERVER) & has(_PATH)
    few = rows.with_columns(_plain=plain(pl.col("text"))).filter(has(_ANY) | put_together)
    block = pl.col("events").list.first().struct.field("event_id") == 4104
    marks = {mark: has(pattern) for mark, pattern in _MARKS.items()}
    marks["graph"] |= put_together
    names = f"{_OWN}|{_SHARED}|{_SEARCH_MAILBOX}"
    return few.with_columns(
        kind=pl.when(block).then(pl.lit("script block")).otherwise(pl.lit("pipeline")),
        theirs=pl.col("path").str.to_lowercase().str.contains(_THEIRS).fill_null(value=False) & ~has(_OWN),
        names=pl.col("_plain").str.extract_all(names).list.unique(maintain_order=True),
        **marks,
    ).drop("_plain")


_MARKS = {
    "own": _OWN,
    "shared": _SHARED,
    "ews": _EWS,
    "search": _SEARCH,
    "others": _OTHERS,
    "files": _FILES,
    "graph": _GRAPH,
    "all_users": _ALL_USERS,
    "searches": _SEARCH_MAILBOX,
    "loop": _LOOP,
    "takes": _TAKES,
    "people": _PEOPLE,
    "credentials": _CREDENTIALS,
}
_LISTED = 200  # pipelines that one finding lists


def _called(rows: pl.LazyFrame) -> pl.LazyFrame:
    """Pipelines, one row for all of a script host with the same caller: hundreds of them may tell of one script."""
    session = pl.col("text").str.extract(r"(?im)^[ \t]*Host ?ID ?= ?([0-9a-f-]{36})")
    by = ("host_key", "channel", "_session", "sid", "pid")
    return (
        rows.with_columns(_session=session)
        .group_by(*by, maintain_order=True)
        .agg(
            pl.col("host", "kind", "text", "path").first(),
            pl.col("start").min(),
            pl.col("end").max(),
            *(pl.col(mark).any() for mark in _MARKS),
            pl.col("theirs").all(),
            pl.col("names").list.explode(keep_nulls=False, empty_as_null=False).unique(maintain_order=True),
            pl.col("events").list.explode(keep_nulls=False, empty_as_null=False).head(_LISTED),
            pl.len().cast(pl.Int64).alias("calls"),
        )
        .drop("_session")
    )


def _signs() -> list[Sign]:
    named = pl.format("names of MailSniper's functions: {}", pl.col("names").list.head(8).list.join(", "))
    mail = pl.col("ews") & pl.col("search")
    whole = pl.col("searches") & pl.col("takes") & pl.col("loop")
    return [
        Sign("MailSniper", pl.col("own"), named, 3),
        Sign("impersonation", pl.col("ews") & pl.col("others"), "it acts in the name of other mailboxes", 3),
        Sign("attachments", mail & pl.col("files"), "it takes attachments or whole mails", 3),
        Sign("many users", pl.col("graph") & pl.col("all_users"), "of many users, one after the other", 3),
        Sign(
            "credentials",
            (mail | pl.col("graph")) & pl.col("credentials") & pl.col("search"),
            "it knows words for passwords",
            2,
        ),
        Sign("Search-Mailbox in a loop", whole, "it copies or deletes what it finds, in many mailboxes", 2),
        Sign("Exchange's own", pl.col("theirs"), "it lies where Exchange's setup puts its scripts", 0),
    ]


def _what() -> pl.Expr:
    return (
        pl.when("own")
        .then(pl.lit("has what MailSniper has"))
        .when(pl.col("ews") & pl.col("search"))
        .then(pl.lit("searches mail over Exchange's web services"))
        .when("graph")
        .then(pl.lit("reads mail over Microsoft Graph"))
        .when("searches")
        .then(pl.lit("runs Search-Mailbox"))
        .when(pl.col("people") | pl.col("shared"))
        .then(pl.lit("takes the address list or lists folders"))
        .otherwise(pl.lit("opens Exchange's web services"))
    )


def _techniques() -> pl.Expr:
    mail = pl.when(pl.col("own") | pl.col("ews") | pl.col("graph") | pl.col("searches")).then(pl.lit("T1114.002"))
    people = pl.when(pl.col("people") | pl.col("shared")).then(pl.lit("T1087.003"))
    return pl.concat_list(mail, people).list.drop_nulls().cast(TEXTS)


HUNT = Hunt(
    id="mail-search-script",
    title="PowerShell script that searches or takes mail",
    severity=Severity.MEDIUM,
    risk_score=47,
    attack=("T1114.002", "T1087.003"),
    needs=(),
    any_of=(NEEDS,),
    find=find,
)
