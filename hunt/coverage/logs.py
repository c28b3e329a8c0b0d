"""What the census tells of each host and channel: spans, event ids, gaps, silences, logs that began anew.

Gaps are those of EventRecordID (System), not of the number in a record's header: a log that was exported counts its
headers anew. They are looked for in all logs of a host and channel together, so that what a copy or an archived log
holds is not missing; and not in logs that hold events chosen from several hosts or channels (forwarded ones, custom
views), where ids are missing by nature.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import pairwise

import polars as pl

from hunt import runs
from hunt.coverage.facts import Fact, counted, key, span
from hunt.model import ANY_ID

LISTED = 20  # gaps, silences and steps of the clock that are told one by one for each host and channel
SILENCE_TIMES = 20  # times the mean time between the channel's records, from which a pause is called a silence
_SECOND = 1_000_000_000
_EDGE = 300 * _SECOND  # when a machine is shut down and boots, its logs end and begin within some minutes
_EPOCHS = 64  # times that a log can have begun anew; hostile ones do so without end

Log = tuple[str, str]  # host and channel, by their keys


@dataclass(frozen=True, slots=True)
class Run:
    """As `runs.RUN`; times in ns."""

    first: int | None
    last: int | None
    start: int
    end: int
    more: int
    missing: int


@dataclass(slots=True)
class Channel:
    """One channel of one host, over all of its logs."""

    host: str
    channel: str
    records: int
    start: int | None
    end: int | None
    event_ids: int
    renumbered: int
    sources: Sequence[str]
    runs: list[Run] = field(default_factory=list)  # by first id: of logs of this channel alone
    busy: list[Run] = field(default_factory=list)  # by time: of all logs

    @property
    def source(self) -> str:
        return self.sources[0] if len(self.sources) == 1 else ""


class Census:
    """The census of all evidence, by host and channel."""

    def __init__(self, census: pl.DataFrame) -> None:
        keyed = census.with_columns(
            pl.col("host").fill_null("").str.to_lowercase().alias("_host"),
            pl.col("channel").fill_null("").str.to_lowercase().alias("_channel"),
        )
        self.types = _types(keyed)
        self.collected = _collected(keyed)
        self._sources = _sources(keyed)
        self._logs: dict[str, set[Log]] = {}
        for source, host, channel in keyed.select("source", "_host", "_channel").unique().iter_rows():
            self._logs.setdefault(source, set()).add((host, channel))
        self.channels = _channels(keyed)
        told = keyed.select("source", "_host", "_channel", "runs").explode("runs").drop_nulls("runs").unnest("runs")
        alone = told.filter(~pl.col("source").is_in(list(self.collected)))
        for log, found in _runs(alone):
            self.channels[log].runs.append(found)
        for log, found in _runs(told):
            self.channels[log].busy.append(found)
        self._hosts: dict[str, list[Channel]] = {}
        for (host, _), channel in self.channels.items():
            self._hosts.setdefault(host, []).append(channel)
        for channel in self.channels.values():
            channel.busy.sort(key=lambda run: (run.start, run.end))

    def of_source(self, source: str) -> Log:
        """The host and the channel of a file, as printed; "" where it holds several, or nothing that could be read."""
        return self._sources.get(source, ("", ""))

    def logs_of(self, source: str) -> Iterable[Log]:
        """All hosts and channels of a file; none if nothing could be read of it."""
        return self._logs.get(source, ())

    def span(self, host: str, channel: str, event_id: int) -> tuple[int | None, int | None] | None:
        """From the first to the last event of a type on a host, ANY_ID of a channel; None if it has none."""
        if event_id == ANY_ID:
            channel_ = self.channels.get((key(host), key(channel)))
            return (channel_.start, channel_.end) if channel_ else None
        return self.types.get((key(host), key(channel), event_id))

    def facts(self) -> Iterator[Fact]:
        """Facts of the kinds channel, event, collected, gap, restart, time_backwards and silence."""
        yield from self._events
        for source, (records, detail) in self.collected.items():
            yield Fact("collected", count=records, detail=detail, source=source)
        for log, channel in self.channels.items():
            yield _whole(channel)
            yield from _breaks(channel)
            yield from self._silences(log, channel)

    @property
    def _events(self) -> Iterator[Fact]:
        for (host, channel, event_id), (start, end) in self.types.items():
            of = self.channels[host, channel]
            count = self.types.counts[host, channel, event_id]
            yield Fact("event", of.host, of.channel, "", event_id, start, end, count)

    def _silences(self, log: Log, channel: Channel) -> Iterator[Fact]:
        if channel.start is None or channel.end is None or not channel.busy:
            return
        rhythm = (channel.end - channel.start) / max(channel.records - 1, 1)
        least = max(runs.SILENCE_S * _SECOND, SILENCE_TIMES * rhythm)
        found: list[tuple[int, int]] = []
        until = channel.busy[0].end
        for run in channel.busy[1:]:
            if run.start - until >= least:
                found.append((until, run.start))
            until = max(until, run.end)
        last = max(other.end for other in self._hosts[log[0]] if other.end is not None)
        if channel.records > SILENCE_TIMES and last - until >= least:  # it fell silent for good
            found.append((until, last))
        found.sort(key=lambda pause: (pause[0] - pause[1], pause[0]))
        for start, end in found[:LISTED]:
            others = sorted(
                other.channel
                for other in self._hosts[log[0]]
                if other is not channel and _active(other.busy, start, end)
            )
            for_good = ", to the end of the host's logs" if end > until else ""
            went_on = f"; meanwhile {_some(others)} went on" if others else "; no other log of the host went on"
            length = span((end - start) / _SECOND)
            yield Fact(
                "silence", channel.host, channel.channel, start=start, end=end,
                detail=f"{length} without a record{for_good}{went_on}", source=channel.source,
            )  # fmt: skip
        if len(found) > LISTED:
            rest = found[LISTED:]
            yield Fact(
                "silence", channel.host, channel.channel, start=min(s for s, _ in rest), end=max(e for _, e in rest),
                count=len(rest), detail=f"{len(rest)} shorter silences, which are not listed", source=channel.source,
            )  # fmt: skip


def _active(busy: Sequence[Run], start: int, end: int) -> bool:
    """Whether a channel has records well inside a pause of another one."""
    return any(run.start < end - _EDGE and run.end > start + _EDGE for run in busy)


def _some(names: Sequence[str]) -> str:
    return names[0] if len(names) == 1 else f"{names[0]} and {len(names) - 1} more"


class _Types(dict[tuple[str, str, int], tuple[int | None, int | None]]):
    """Spans of event types by host, channel and event id; `counts` alike."""

    counts: dict[tuple[str, str, int], int]


def _types(keyed: pl.DataFrame) -> _Types:
    grouped = keyed.group_by("_host", "_channel", "event_id", maintain_order=True).agg(
        pl.col("start").min().cast(pl.Int64), pl.col("end").max().cast(pl.Int64), pl.col("records").sum()
    )
    found = _Types()
    found.counts = {}
    for host, channel, event_id, start, end, records in grouped.sort("_host", "_channel", "event_id").iter_rows():
        found[host, channel, event_id] = start, end
        found.counts[host, channel, event_id] = records
    return found


def _channels(keyed: pl.DataFrame) -> dict[Log, Channel]:
    grouped = keyed.group_by("_host", "_channel").agg(
        pl.col("host").min().fill_null(""),
        pl.col("channel").min().fill_null(""),
        pl.col("records").sum(),
        pl.col("start").min().cast(pl.Int64),
        pl.col("end").max().cast(pl.Int64),
        pl.col("event_id").n_unique().alias("event_ids"),
        pl.col("renumbered").sum(),
        pl.col("source").unique().sort().alias("sources"),
    )
    return {(host, channel): Channel(*told) for host, channel, *told in grouped.sort("_host", "_channel").iter_rows()}


def _sources(keyed: pl.DataFrame) -> dict[str, Log]:
    grouped = keyed.group_by("source").agg(
        *(pl.when(pl.col(f"_{c}").n_unique() == 1).then(pl.col(c).min().fill_null("")).otherwise(pl.lit("")).alias(c)
          for c in ("host", "channel"))
    )  # fmt: skip
    return {source: (host, channel) for source, host, channel in grouped.iter_rows()}


def _collected(keyed: pl.DataFrame) -> dict[str, tuple[int, str]]:
    """Logs whose events were chosen from several channels, or hosts at the same time: (records, what they hold).

    A host that was given another name keeps its log: it ends where the next begins, by time or by record id.
    """
    ids = pl.col("runs").list.eval(pl.element().struct.field("first")).list.min()
    last = pl.col("runs").list.eval(pl.element().struct.field("last")).list.max().alias("last")
    logs = keyed.group_by("source", "_host", "_channel").agg(
        pl.col("start").min(), pl.col("end").max(), pl.col("records").sum(), ids.min().alias("first"), last.max()
    )
    several = logs.filter(pl.len().over("source") > 1).sort("source", "first", "start", "_host", "_channel")
    found: dict[str, tuple[int, str]] = {}
    for (source,), part in several.group_by("source", maintain_order=True):
        hosts, channels = part["_host"].n_unique(), part["_channel"].n_unique()
        by_time = part.sort("start")
        at_once = (by_time["start"] < by_time["end"].cum_max().shift()).any()
        unbroken = (part["first"] == part["last"].shift() + 1).fill_null(value=True).all()
        if channels > 1 or (at_once and not unbroken):
            what = f"{counted(hosts, 'host')} and {counted(channels, 'channel')} in one log"
            detail = f"{what}: its events were chosen, so that record ids missing in it tell nothing"
            found[str(source)] = int(part["records"].sum()), detail
    return dict(sorted(found.items()))


def _runs(told: pl.DataFrame) -> Iterator[tuple[Log, Run]]:
    united = runs.union(told, ["_host", "_channel"]).drop_nulls("start")
    times = united.with_columns(pl.col("start", "end").cast(pl.Int64))
    for host, channel, *run in times.iter_rows():
        yield (host, channel), Run(*run)


def _whole(channel: Channel) -> Fact:
    ids = [run for run in channel.runs if run.first is not None]
    said = [counted(channel.event_ids, "event id")]
    if ids:
        said.append(f"record ids {ids[0].first} to {max(run.last or 0 for run in ids)}")
    if len(channel.sources) > 1:
        said.append(f"{counted(len(channel.sources), 'file')}, where copies count, too")
    return Fact(
        "channel", channel.host, channel.channel, start=channel.start, end=channel.end, count=channel.records,
        detail="; ".join(said), source=channel.source,
    )  # fmt: skip


def _breaks(channel: Channel) -> Iterator[Fact]:
    """Gaps, clocks that went back and new beginnings, in the order of record ids."""
    epochs: list[list[Run]] = []
    gaps: list[Fact] = []
    steps: list[Fact] = []
    for run in channel.runs:
        if run.first is None:
            continue
        epoch = _epoch(epochs, run)
        if epoch is None:
            epochs.append([run])
            continue
        before = epoch[-1]
        epoch.append(run)
        missing = run.first - (before.last or 0) - 1
        if missing > 0:
            gaps.append(_gap(channel, before, run, missing))
        elif before.end - run.start > runs.BACK_S * _SECOND:
            steps.append(_step(channel, before, run))
    swallowed = sum(run.more for run in channel.runs), sum(run.missing for run in channel.runs)
    yield from _listed(channel, gaps, swallowed)
    yield from _listed(channel, steps, (0, 0))
    epochs.sort(key=lambda epoch: min(run.start for run in epoch))
    for old, new in pairwise(epochs):
        last, first = old[-1].last, new[0].first
        what = (
            f"record ids begin again at {first} after {last}"
            if (first or 0) <= (last or 0)
            else (f"record ids from {first} on were written at times that contradict those up to {last}")
        )
        detail = f"{what}: the log was made anew, or its clock was set"
        when = max(run.end for run in old), min(run.start for run in new)
        yield Fact("restart", channel.host, channel.channel, start=min(when), end=max(when), count=first, detail=detail)


def _epoch(epochs: list[list[Run]], run: Run) -> list[Run] | None:
    """The row of runs that a run continues; None if it begins another: its ids or its time contradict all of them."""
    first = run.first or 0
    behind = [epoch for epoch in epochs if (epoch[-1].last or 0) < first]
    follows = [epoch for epoch in behind if (epoch[-1].last or 0) + 1 == first]
    in_time = [epoch for epoch in behind if epoch[-1].end - runs.BACK_S * _SECOND <= run.start]
    best = [epoch for epoch in follows if epoch in in_time] or follows or in_time
    if best:
        return max(best, key=lambda epoch: epoch[-1].last or 0)
    return None if len(epochs) < _EPOCHS else max(behind or epochs, key=lambda epoch: epoch[-1].last or 0)


def _gap(channel: Channel, before: Run, after: Run, missing: int) -> Fact:
    first, last = (before.last or 0) + 1, (after.first or 0) - 1
    ids = f"record id {first} is" if missing == 1 else f"record ids {first} to {last} are"
    return Fact(
        "gap", channel.host, channel.channel, start=before.end, end=after.start, count=missing,
        detail=f"{ids} missing{_why(channel)}", source=channel.source,
    )  # fmt: skip


def _why(channel: Channel) -> str:
    return "; an exported or forwarded log, which a filter may have thinned out" if channel.renumbered else ""


def _step(channel: Channel, before: Run, after: Run) -> Fact:
    back = span((before.end - after.start) / _SECOND)
    return Fact(
        "time_backwards", channel.host, channel.channel, start=after.start, end=before.end,
        detail=f"record id {after.first} was written {back} before record id {before.last}", source=channel.source,
    )  # fmt: skip


def _listed(channel: Channel, found: list[Fact], more: tuple[int, int]) -> Iterator[Fact]:
    """The largest of them, and one fact for all others."""
    found.sort(key=lambda fact: (-(fact.count or 0), -((fact.end or 0) - (fact.start or 0)), fact.start or 0))
    yield from found[:LISTED]
    rest = found[LISTED:]
    number, missing = len(rest) + more[0], sum(fact.count or 0 for fact in rest) + more[1]
    if number:
        kind = found[0].kind if found else "gap"
        what = f"at most {number} more breaks, which are not listed; up to {missing} record ids are missing in them"
        detail = what if kind == "gap" else f"{number} more times, which are not listed"
        yield Fact(
            kind, channel.host, channel.channel, start=channel.start, end=channel.end, count=missing,
            detail=detail + (_why(channel) if kind == "gap" else ""), source=channel.source,
        )  # fmt: skip
