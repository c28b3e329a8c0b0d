"""`--since`, `--until`, `--host`, `--channel` and `--min-grade`: which findings are shown.

Nothing is skipped in reading but for `--channel`: a story that began before `--since` is found with all that led to it.
`--channel` limits what is decoded; what a query needs of other channels makes it not evaluable.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, time, timedelta
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING

from hunt.errors import HuntError, QueryError
from hunt.model import ANY_CHANNEL, Hunt, QueryResult, Wants

if TYPE_CHECKING:
    import polars as pl

# Nanoseconds since 1970 in 64 bits, which is what `time` is, end in these years.
_YEARS = range(1678, 2262)


@dataclass(frozen=True, slots=True)
class Moment:
    """A time that a user gave."""

    at: datetime  # UTC
    assumed: bool  # it named no zone, and was taken as UTC


def moment(text: str, end: bool = False) -> Moment:
    """ISO 8601, `2026-03-02T08:15:00Z` say. A date alone is its first moment; its last microsecond if `end`.

    Raises HuntError for anything else, and for what no log can hold.
    """
    try:
        at = datetime.fromisoformat(text.strip())
        assumed = at.tzinfo is None
        if end and _is_date(text.strip()):
            at = datetime.combine(at, time.max)
        at = (at.replace(tzinfo=UTC) if assumed else at).astimezone(UTC)
    except (ValueError, OverflowError):
        raise HuntError(f"{text!r} is no time; ISO 8601 is wanted, such as 2026-03-02T08:15:00Z") from None
    if at.year not in _YEARS:
        raise HuntError(f"{text!r} lies where no log can: years {_YEARS[0]} to {_YEARS[-1]} are")
    return Moment(at, assumed)


def _is_date(text: str) -> bool:
    """Whether a text that is ISO 8601 has no time of day."""
    try:
        return bool(date.fromisoformat(text))
    except ValueError:
        return False


# How sure it is who requested what a finding tells of, the surest first; `hunt.lineage` says what they mean.
GRADES = ("direct", "A", "B", "C", "D", "E", "F")


@dataclass(frozen=True, slots=True)
class Filters:
    """What was asked for; the default hides nothing. Names are compared without case, `*` and `?` stand for others."""

    since: datetime | None = None  # UTC, inclusive
    until: datetime | None = None  # UTC, inclusive with all of its last microsecond
    hosts: tuple[str, ...] = ()  # whole names, or their part before the first dot
    channels: tuple[str, ...] = ()
    min_grade: str | None = None  # of GRADES; of findings that say who asked for a start

    def __post_init__(self) -> None:
        if self.since and self.until and self.since > self.until:
            raise HuntError(f"--since {_iso(self.since)} is after --until {_iso(self.until)}")

    def wants(self, wants: Wants) -> Wants:
        """Without the event types of channels that are hidden."""
        if not self.channels or wants.types is None:
            return wants
        shown = {c: v for c, v in wants.types.items() if c[0] == ANY_CHANNEL or self.shows_channel(c[0])}
        return Wants(shown, self.channels)

    def shows_channel(self, channel: str) -> bool:
        return not self.channels or any(_alike(channel, pattern) for pattern in self.channels)

    def shows_host(self, host: str) -> bool:
        short = host.partition(".")[0]
        return not self.hosts or any(_alike(host, p) or ("." not in p and _alike(short, p)) for p in self.hosts)

    def hidden(self, hunt: Hunt, result: QueryResult) -> QueryResult:
        """A query's result, not evaluable if --channel hides what it needs."""
        required = [need.channel for need in hunt.needs if not self.shows_channel(need.channel)]
        helpful = [need.channel for need in hunt.helps if not self.shows_channel(need.channel)]
        for group in hunt.any_of:
            channels = dict.fromkeys(need.channel for need in group)
            hidden = [channel for channel in channels if channel != ANY_CHANNEL and not self.shows_channel(channel)]
            (required if len(hidden) == len(channels) else helpful).extend(hidden)
        said = "; ".join(f"{channel} is hidden by --channel" for channel in dict.fromkeys((*required, *helpful)))
        if not said:
            return result
        replaced = hunt.instead and all(self.shows_channel(need.channel) for need in hunt.instead)
        if not required or replaced:
            return replace(result, reason=_also(result.reason, said))
        return result.unable(said)

    def apply(
        self, findings: pl.DataFrame, events: pl.DataFrame, of_starts: Collection[str] = ()
    ) -> tuple[pl.DataFrame, pl.DataFrame, dict[str, int]]:
        """(findings shown, all of their events, how many findings of which query are hidden).

        A finding is shown if any of its events lies inside; an event without a time may lie anywhere. One that has no
        grade is not hidden by `min_grade`: nobody is named in it whom that could be doubted of. Nor are those of the
        queries `of_starts`: the start is what they tell of, and that is certain.
        """
        import polars as pl

        if not (self.since or self.until or self.hosts or self.min_grade):
            return findings, events, {}
        inside = events.filter(pl.col("time").is_null() | self._in_time())["finding_id"].unique()
        hosts = [host for host in findings["host"].unique().to_list() if host is None or self.shows_host(host)]
        shown = pl.col("finding_id").is_in(inside.implode()) & pl.col("host").is_in(hosts, nulls_equal=True)
        shown &= self._graded() | pl.col("query").is_in(list(of_starts))
        kept = findings.filter(shown)
        lost = findings.filter(~shown)
        counts = {str(query): int(count) for query, count in lost.group_by("query").len().iter_rows()}
        return kept, events.filter(pl.col("finding_id").is_in(kept["finding_id"].implode())), counts

    def _graded(self) -> pl.Expr:
        import polars as pl

        if not self.min_grade:
            return pl.lit(value=True)
        return ~pl.col("grade").fill_null("").is_in(GRADES[GRADES.index(self.min_grade) + 1 :])

    def inside(self, rows: pl.DataFrame) -> pl.DataFrame:
        """The rows (with `time` and `host`) that lie inside; one without a time or a host may lie anywhere."""
        import polars as pl

        hosts = [host for host in rows["host"].unique().to_list() if host is None or self.shows_host(host)]
        timely = pl.col("time").is_null() | self._in_time()
        return rows.filter(timely, pl.col("host").is_in(hosts, nulls_equal=True))

    def _in_time(self) -> pl.Expr:
        import polars as pl

        inside = pl.lit(value=True)
        if self.since:
            inside &= pl.col("time") >= pl.lit(self.since).cast(pl.Datetime("ns", "UTC"))
        if self.until:
            inside &= pl.col("time") < pl.lit(self.until + timedelta(microseconds=1)).cast(pl.Datetime("ns", "UTC"))
        return inside

    def check(self, hosts: Sequence[str], channels: Sequence[str]) -> Iterator[str]:
        """What --host and --channel name that the evidence has not; QueryError if that is all they name.

        Else a mistyped name would look like a host on which nothing was found.
        """
        checks = (("--host", self.hosts, hosts, "host"), ("--channel", self.channels, channels, "channel"))
        for option, patterns, there, what in checks:
            absent = [pattern for pattern in patterns if not self._any(option, pattern, there)]
            if patterns and absent == list(patterns) and there:
                have = ", ".join(there[:_NAMED]) + (f" and {len(there) - _NAMED} more" if len(there) > _NAMED else "")
                raise QueryError(f"no {what} of the evidence is {option} {' or '.join(patterns)} (have: {have})")
            yield from (f"no {what} of the evidence is {option} {pattern}" for pattern in absent)

    @staticmethod
    def _any(option: str, pattern: str, there: Iterable[str]) -> bool:
        one = Filters(hosts=(pattern,)) if option == "--host" else Filters(channels=(pattern,))
        shows = one.shows_host if option == "--host" else one.shows_channel
        return any(shows(name) for name in there)

    def told(self) -> dict[str, object]:
        """For the manifest and the log."""
        return {
            "since": _iso(self.since) if self.since else None,
            "until": _iso(self.until) if self.until else None,
            "hosts": list(self.hosts),
            "channels": list(self.channels),
            "min_grade": self.min_grade,
        }

    def named(self) -> str:
        """The options that hide findings, for people."""
        given = {"--since": self.since, "--until": self.until, "--host": self.hosts, "--min-grade": self.min_grade}
        return ", ".join(option for option, value in given.items() if value)


_NAMED = 10  # hosts or channels that an error lists


def count_hidden(results: Iterable[QueryResult], hidden: dict[str, int], by: str) -> Iterator[QueryResult]:
    """The results, saying how many findings of each lie outside."""
    for result in results:
        number = hidden.get(result.query, 0)
        said = f"{number} more {'finding' if number == 1 else 'findings'} outside {by}"
        yield replace(result, reason=_also(result.reason, said)) if number else result


def _also(reason: str, more: str) -> str:
    return f"{reason}; {more}" if reason else more


def _alike(name: str, pattern: str) -> bool:
    return fnmatchcase(name.lower(), pattern.lower())


def _iso(at: datetime) -> str:
    return at.isoformat().replace("+00:00", "Z")
