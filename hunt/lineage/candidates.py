"""Who may have requested each process that a broker started: pairs of child and candidate, and what speaks for them.

Candidates come in tiers, the surest first, each bounded for each child: those that the broker opened in the same
thread; those that name the request; COM clients of the same session; all of the same session; all of the host where
identity does not count or is not known. What a bound leaves out is counted. Nobody hides in a crowd: the dead take no
place, and of those that crowd around a start of Outlook the script hosts, and programs that may be anybody's, are
looked at apart from the others.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
import polars as pl

from hunt.lineage import acts, crowds
from hunt.lineage.acts import requested
from hunt.lineage.brokered import SCM, SHELL, SURROGATE, TASK, TASK_OR_SERVICE, UNTOLD, WINRM
from hunt.lineage.crowds import Able
from hunt.lineage.drivers import drivers
from hunt.lineage.keys import among
from hunt.lineage.kinds import FOREVER, NEVER, UNKNOWN, Flags, Ints, Small
from hunt.lineage.numbers import Numbers
from hunt.lineage.parts import Logged
from hunt.lineage.traces import Traces, traces
from hunt.lineage.windows import Pairs, Timeline, Window, distinct, places, timeline
from hunt.processes import base_name
from hunt.schema import TEXTS

# What speaks for a pair: bits of its flags, after those of `acts`.
PAIR, SCM_PAIR, CONTACT, CATALOGUE = 32, 64, 128, 256
LOGON, SESSION, USER, NAMELESS = 512, 1024, 2048, 4096  # at most one: how the identities agree
VIA_SURROGATE = 8192
NAMES = acts.LINE | acts.BLOCK | acts.PIPELINE | acts.CALL | acts.HAND_OVER
_INHERITED = PAIR | NAMES

# Why a candidate is none; 0: it is one.
DEAD, BROKER, STRANGER, NO_CONTACT, NO_CLIENT, CONSOLE, FROM_NETWORK = range(1, 8)
REASONS = {
    DEAD: "ended before",
    BROKER: "it is the broker",
    STRANGER: "other logon session",
    NO_CONTACT: "had no contact with the COM service, which Sysmon 10 would tell",
    NO_CLIENT: "did not load clbcatq.dll, which Sysmon 7 would tell: no COM client",
    CONSOLE: "a console host requests nothing",
    FROM_NETWORK: "the child's logon came over the network",
}

SKEW = 250_000_000  # ns by which an end may be logged early
NO_GAP = np.iinfo(np.int32).max
# How many candidates are taken, the latest first: of one tier for a child, and for all children of a host, of whom each
# gets _LEAST. Starts of Outlook are few, and what is looked for: what else there is takes nothing from them.
_MOST, _MOST_OF_HOST, _LEAST = 64, 20_000, 8
_MOST_OF_OUTLOOK, _LEAST_OF_OUTLOOK = 4_000, 16
_MOST_DRIVERS = 16  # of the script hosts in a crowd, and of the programs in it that may be anybody's
_SCANNED_OF_HOST = 20_000  # how many of a crowd are looked at for all children of a host
_MOST_STRANGERS = 8  # of other logon sessions: they are listed, and never graded
_AT_ONCE = 500_000  # pairs
_SECOND = 1_000_000_000  # ns: within it lies a start that is known from a GUID alone
_OUTLOOK = "outlook.exe"


@dataclass(frozen=True, slots=True)
class Children:
    """The processes that a broker started, by row."""

    frame: pl.DataFrame  # of `brokered`
    row: Ints
    place: Small  # of each row of `case.processes`: the position of the child that it is
    host: Ints  # counted from 0
    parent: Ints  # hash of host and GUID
    identity: Flags  # COM, WMI, WinRM: a requester has the same identity
    strict: Flags  # nothing but the same logon session will do: Outlook refuses another one (0x80080005)
    client: Flags  # a requester is a COM client
    scm: Flags
    surrogate: Flags  # started by what COM started for another one
    orphan: Flags  # who created it is not known: its creator is no broker

    def at(self, rows: Ints) -> Ints:
        """The positions of these children."""
        return self.place[rows]


@dataclass(frozen=True, slots=True)
class Candidates:
    """Pairs of rows of `case.processes`, each once, in no order.

    `gap`: ns between both handles of a thread, NO_GAP if there are none; `excluded`: a key of REASONS, or 0.
    """

    child: Small
    candidate: Small
    flags: Small
    gap: Small
    excluded: Small

    def only(self, which: Flags | Ints | slice) -> Candidates:
        return Candidates(*(getattr(self, name)[which] for name in self.__slots__))


@dataclass(frozen=True, slots=True)
class Found:
    """All candidates but those of other logon sessions. `left_over`: by position of the child, how many more of its
    session or host may have asked for it and were not looked at."""

    pairs: Candidates
    left_over: Ints


@dataclass(frozen=True, slots=True)
class Search:
    """What candidates are looked for in."""

    known: pl.DataFrame
    numbers: Numbers
    children: Children
    met: Traces
    window: int  # ns


def children_of(frame: pl.DataFrame, numbers: Numbers) -> Children:
    """`frame`: of `brokered`."""
    mechanism = frame["mechanism"]
    row = frame["row"].cast(pl.Int64).to_numpy()
    identity = ~mechanism.is_in([SCM, TASK, TASK_OR_SERVICE])
    place = np.full(numbers.start.size, UNKNOWN, np.int32)
    place[row] = np.arange(row.size)
    return Children(
        frame,
        row,
        place,
        np.unique(numbers.host[row], return_inverse=True)[1],
        numbers.parent[row],
        identity.to_numpy(),
        frame.select(base_name("image").eq_missing(_OUTLOOK))["image"].to_numpy(),
        (identity & ~mechanism.is_in([WINRM, UNTOLD])).to_numpy(),
        (mechanism == SCM).to_numpy(),
        mechanism.is_in([SURROGATE, SHELL]).to_numpy(),
        (mechanism == UNTOLD).to_numpy(),
    )


def search(case: Logged, known: pl.DataFrame, numbers: Numbers, children: Children, window: int) -> Search:
    """`window`: ns between a candidate's start, or what it tells of the request, and the child's start."""
    return Search(known, numbers, children, traces(case, known, children.frame), window)


def candidates(case: Logged, within: Search) -> Found:
    """All candidates but those of other logon sessions, which `strangers` gives."""
    met, children = within.met, within.children
    asked = requested(case, within.known, children.frame, within.window)
    footprint = np.where(children.scm[children.at(met.child)], SCM_PAIR, PAIR)
    near, drivers, left_over = _near(within)
    sure = _merged(
        [
            _part(met.child, met.client, footprint, met.gap),
            _part(asked.child, asked.requester, asked.kind),
            _clients(within),
            drivers,
        ]
    )
    sure = _merged([sure, _of_surrogates(sure, within)])
    twice = _among(near, sure)
    found = joined([sure, near.only(~twice)])
    left_over = np.maximum(left_over - _seen(sure, left_over, within) + _seen(near.only(twice), left_over, within), 0)
    return Found(_judged(found.only(_in_order(found, within.numbers)), within), left_over)


def _seen(pairs: Candidates, left_over: Ints, within: Search) -> Ints:
    """How many of these lie in the crowd of each child, by position, where there is any left over."""
    kid = within.children.at(pairs.child)
    crowded = np.flatnonzero(left_over[kid] > 0)
    some, kid = pairs.only(crowded), kid[crowded]
    recent = within.numbers.start[some.candidate] >= within.numbers.start[some.child] - within.window
    akin = _agreement(some, within.numbers)[0] != 0
    akin |= ~within.children.identity[kid]
    return np.bincount(kid[recent & akin & _able(within)(kid, some.candidate)], minlength=left_over.size)


def strangers(within: Search, found: Candidates, of: Flags) -> Candidates:
    """For some children, by position, where identity counts: the latest of the host that are no candidates, and not
    `found`. Most are of other logon sessions."""
    numbers, children = within.numbers, within.children
    window = _window(within, *_placed(within, children.identity & of, numbers.host, numbers.host))
    share = _share(window, _MOST_STRANGERS, children.host[window.placed], (_MOST_OF_HOST, _LEAST))
    of_host = window.latest(np.minimum(_MOST_STRANGERS, share))
    timely = ~_too_old(within, of_host.left, of_host.right)
    pairs = _part(children.row[of_host.left[timely]], of_host.right[timely])
    judged = _judged(pairs.only(_in_order(pairs, numbers)), within)
    other = judged.only(judged.excluded > 0)
    return other.only(~_among(other, found))


def _part(child: Ints, candidate: Ints, flags: Ints | None = None, gap: Ints | None = None) -> Candidates:
    none = np.zeros(child.size, np.int32)
    return Candidates(
        child.astype(np.int32),
        candidate.astype(np.int32),
        none if flags is None else flags.astype(np.int32),
        np.full(child.size, NO_GAP, np.int32) if gap is None else gap.astype(np.int32),
        none,
    )


def joined(parts: Sequence[Candidates]) -> Candidates:
    """All of them."""
    return Candidates(*(np.concatenate([getattr(part, name) for part in parts]) for name in Candidates.__slots__))


def _key(pairs: Candidates) -> Ints:
    return (pairs.child.astype(np.int64) << 32) | pairs.candidate


def _merged(parts: Sequence[Candidates]) -> Candidates:
    """Each pair once, with all that speaks for it, by child and candidate."""
    whole = joined(parts)
    key = _key(whole)
    order = np.argsort(key, kind="stable")
    key = key[order]
    first = np.flatnonzero(np.concatenate([np.ones(min(key.size, 1), bool), key[1:] != key[:-1]]))
    if not first.size:
        return whole
    once = whole.only(order[first])
    return replace(
        once,
        flags=np.bitwise_or.reduceat(whole.flags[order], first),
        gap=np.minimum.reduceat(whole.gap[order], first),
    )


def _among(pairs: Candidates, others: Candidates) -> Flags:
    return among(_key(pairs), np.sort(_key(others)))


def _sessions(numbers: Numbers) -> Ints:
    """A part for each session of a user at the machine: in session 0 there are many users. UNKNOWN for others."""
    # Neighbouring sessions are told apart from each other and from hosts by what the multiplication spreads them to.
    part = numbers.host ^ (numbers.session.astype(np.int64) * 0x1E3779B97F4A7C15)
    return np.where((numbers.session > 0) & (numbers.host != UNKNOWN), part, UNKNOWN)


def _nameless(numbers: Numbers) -> Ints:
    unknown = (numbers.logon == UNKNOWN) & (numbers.logon_guid == UNKNOWN)
    return np.where(unknown, numbers.host, UNKNOWN)


def _near(within: Search) -> tuple[Candidates, Candidates, Ints]:
    """(by time alone the latest of each group; those of a crowd that can drive COM by themselves; how many more there
    are of each child's)."""
    near, drivers, left_over = [], [], np.zeros(within.children.row.size, np.int64)
    for which, left, right in _groups(within):
        line, part = _placed(within, which, left, right)
        window = _window(within, line, part)
        pairs = _latest(within, window, _MOST)
        near.append(_pairs_of(within, pairs))
        left_over += pairs.left_over
        crowded = within.children.strict & (pairs.left_over > 0)
        drivers += [_pairs_of(within, some) for some in _driving(within, line, np.where(crowded, part, UNKNOWN))]
    return joined(near), joined([_part(*np.empty((2, 0), np.int64)), *drivers]), left_over


def _groups(within: Search) -> Iterator[tuple[Flags, Ints, Ints]]:
    """Which children have their candidates among whom: a part for each child, by row, and one for each process.

    Those of the same session or logon; the nameless; all of the host, where identity does not count.
    """
    numbers, children = within.numbers, within.children
    # Elevated COM: same user and session, another logon. Where a session is not known, or 0, only the logon is left;
    # SYSTEM is one logon in all sessions.
    of_session = _sessions(numbers)
    seated = (of_session != UNKNOWN)[children.row]
    yield children.identity & seated, of_session, of_session
    elsewhere = np.where(of_session == UNKNOWN, numbers.logon, UNKNOWN)
    del of_session  # 8 bytes for each process
    yield children.identity & seated, numbers.logon, elsewhere
    del elsewhere
    yield children.identity & ~seated, numbers.logon, numbers.logon
    nameless = _nameless(numbers)
    yield children.identity, numbers.host, nameless
    lost = children.identity & ~seated & (nameless[children.row] != UNKNOWN)
    if lost.any():  # nothing is known of whom it runs as
        yield lost, numbers.host, np.where(nameless == UNKNOWN, numbers.host, UNKNOWN)
    del nameless
    yield ~children.identity, numbers.host, numbers.host


def _clients(within: Search) -> Candidates:
    """COM clients of the same session or logon: few, so that none is crowded out by those that are none."""
    numbers, children = within.numbers, within.children
    client = (within.met.contact != FOREVER) | (within.met.catalogue != FOREVER)
    if not client.any():
        return _part(*np.empty((2, 0), np.int64))
    parts = []
    for part in (_sessions(numbers), numbers.logon):
        line, mine = _placed(within, children.client, part, np.where(client, part, UNKNOWN))
        parts.append(_pairs_of(within, _latest(within, _window(within, line, mine), _MOST)))
    return _merged(parts)


def _driving(within: Search, line: Timeline, part: Ints) -> Iterator[Pairs]:
    """For those children that have a part: the latest script hosts, and programs that may be anybody's."""
    if (part == UNKNOWN).all():
        return
    covered = _window(within, line, part).covered()
    named = within.known.select("image", "original_file_name", "description")
    scripts, others = drivers(named[line.row[covered]])
    for kind in (scripts, others & ~scripts):
        at = covered[kind.to_numpy()]
        few = Timeline(line.times, line.key[at], line.row[at])
        yield _latest(within, _window(within, few, part), _MOST_DRIVERS)


def _pairs_of(within: Search, pairs: Pairs) -> Candidates:
    return _part(within.children.row[pairs.left], pairs.right)


def _placed(within: Search, which: Flags, left: Ints, right: Ints) -> tuple[Timeline, Ints]:
    """(the processes of a part in order, the part of `which` children); those with UNKNOWN are left out."""
    numbers, children = within.numbers, within.children
    mine = np.where(which & (numbers.start[children.row] != NEVER), left[children.row], UNKNOWN)
    parts = distinct(mine[mine != UNKNOWN])
    part = places(parts, right)
    part[numbers.start == NEVER] = UNKNOWN
    return timeline(part, numbers.clock), places(parts, mine)


def _window(within: Search, line: Timeline, part: Ints) -> Window:
    """Those of a child's part that began within the window before it, or may have."""
    numbers = within.numbers
    before = within.window if numbers.timed.all() else within.window + _SECOND
    return line.near(part, numbers.start[within.children.row], before, 0)


def _latest(within: Search, window: Window, most: int) -> Pairs:
    """The latest for each child, and more where these are a crowd of such as can't have asked for it."""
    children = within.children
    host, strict = children.host[window.placed], children.strict[window.placed]
    share = _share(window, most, np.where(strict, -1, host), (_MOST_OF_HOST, _LEAST))
    of_outlook = _share(window, most, np.where(strict, host, -1), (_MOST_OF_OUTLOOK, _LEAST_OF_OUTLOOK))
    bound = np.minimum(most, np.where(strict, of_outlook, share))
    crowded = window.found > bound
    of_host = _SCANNED_OF_HOST // np.maximum(np.bincount(host[crowded], minlength=1), 1)
    fair = of_host[np.minimum(host, of_host.size - 1)]
    # Less than there are places is not worth the while.
    scanned = np.where(strict, np.maximum(fair, _MOST), np.where(fair < _MOST, 0, fair))
    pairs = crowds.latest(window, bound, scanned, _able(within))
    if within.numbers.timed.all():
        return pairs
    timely = ~_too_old(within, pairs.left, pairs.right)
    return Pairs(pairs.left[timely], pairs.right[timely], pairs.left_over)


def _able(within: Search) -> Able:
    """Whether a process can have asked for a child (by position), for all that is known by numbers alone."""
    numbers, children = within.numbers, within.children
    timed = numbers.timed.all()

    def able(kid: Ints, candidate: Small) -> Flags:
        child, guid = children.row[kid], numbers.guid[candidate]
        itself = (candidate == child) | ((guid == numbers.guid[child]) & (guid != UNKNOWN))
        broker = (guid == children.parent[kid]) & (guid != UNKNOWN)
        dead = numbers.end[candidate] < numbers.start[child] - SKEW
        none = itself | broker | dead | numbers.console[candidate]
        return np.asarray(~(none if timed else none | _too_old(within, kid, candidate)), bool)

    return able


def _too_old(within: Search, kid: Ints, candidate: Small) -> Flags:
    """Whether a process surely began before the window: a second more is looked at for those known to the second."""
    numbers, child = within.numbers, within.children.row[kid]
    return np.asarray(
        numbers.timed[candidate] & (numbers.start[candidate] < numbers.start[child] - within.window), bool
    )


def _share(window: Window, most: int, host: Ints, bounds: tuple[int, int]) -> Ints:
    """How many candidates each child may have, so that the hosts' do not have too many; `host` -1: not counted.

    `bounds`: how many a host's may have, and what each has at least.
    """
    most_of_host, least = bounds
    counted = host >= 0
    found, of = np.minimum(window.found, most)[counted], host[counted]
    of_host = np.bincount(of, found, minlength=1)
    children = np.bincount(of, found > 0, minlength=1)
    fair = np.maximum(most_of_host // np.maximum(children, 1), least)
    share = np.full(host.size, _MOST, np.int64)
    share[counted] = np.where(of_host > most_of_host, fair, _MOST)[of]
    return share


def _of_surrogates(sure: Candidates, within: Search) -> Candidates:
    """What COM starts for a requester (dllhost, explorer /factory) acts for it: its children have that requester too.

    `sure`: by child.
    """
    numbers, children = within.numbers, within.children
    kids = children.row[children.surrogate & (children.parent != UNKNOWN)]
    order = np.argsort(numbers.guid[children.row])
    guids = numbers.guid[children.row][order]
    low = np.searchsorted(guids, numbers.parent[kids], "left")
    some = np.searchsorted(guids, numbers.parent[kids], "right") > low
    kid, parent = kids[some], children.row[order[low[some]]]
    recent = numbers.start[kid] - numbers.start[parent] <= within.window
    kid, parent = kid[recent], parent[recent]
    telling = sure.only((sure.flags & _INHERITED) != 0)
    begin = np.searchsorted(telling.child, parent, "left")
    count = np.searchsorted(telling.child, parent, "right") - begin
    at = np.repeat(begin, count) + np.arange(int(count.sum())) - np.repeat(np.cumsum(count) - count, count)
    flags = (telling.flags[at] & _INHERITED) | VIA_SURROGATE
    return _part(np.repeat(kid, count), telling.candidate[at], flags, telling.gap[at])


def _in_order(found: Candidates, numbers: Numbers) -> Flags:
    """Pairs of two processes of which the candidate began first."""
    began = numbers.start[found.candidate] <= numbers.start[found.child]
    same = (numbers.guid[found.candidate] == numbers.guid[found.child]) & (numbers.guid[found.child] != UNKNOWN)
    return np.asarray(began & ~same & (found.candidate != found.child), bool)


def _judged(found: Candidates, within: Search) -> Candidates:
    """With what speaks for each pair, and why it is none."""
    parts = range(0, max(found.child.size, 1), _AT_ONCE)  # in parts: it takes many arrays of as many numbers
    return joined([_judged_part(found.only(slice(begin, begin + _AT_ONCE)), within) for begin in parts])


def _judged_part(found: Candidates, within: Search) -> Candidates:
    frame, numbers, children, met = within.known, within.numbers, within.children, within.met
    kid, child, candidate = children.at(found.child), found.child, found.candidate
    start = numbers.start[child]
    identity, client, strict = children.identity[kid], children.client[kid], children.strict[kid]
    agreement, same_user = _agreement(found, numbers)
    contact = client & (met.contact[candidate] <= start + SKEW)
    catalogue = client & (met.catalogue[candidate] <= start + SKEW)
    flags = found.flags | agreement
    flags[contact] |= CONTACT
    flags[catalogue] |= CATALOGUE

    # Who names the act is not cleared by what is missing: logs are filtered in ways that nobody foresees.
    silent = client & ~contact & ((flags & (PAIR | NAMES | acts.MAYBE)) == 0)
    agrees = (flags & np.where(strict, LOGON | USER | NAMELESS, LOGON | SESSION | USER | NAMELESS)) != 0
    agrees |= ((flags & acts.HAND_OVER) != 0) & same_user
    broker = _started(child, candidate, frame, numbers) & ~children.orphan[kid]
    nameless = np.flatnonzero((flags & NAMELESS) != 0)
    broker[nameless] |= _brokers(numbers.guid[candidate[nameless]], children)
    excluded = np.zeros(child.size, np.int32)
    reasons = (  # the first that holds counts, so they are written from the last
        (NO_CLIENT, silent & met.complete[candidate] & (met.catalogue[candidate] == FOREVER)),
        (NO_CONTACT, silent & met.unfiltered[candidate] & met.opened[candidate]),
        (STRANGER, identity & ~agrees),
        (DEAD, numbers.end[candidate] < start - SKEW),
        (CONSOLE, numbers.console[candidate]),
        (BROKER, broker),
    )
    for reason, holds in reasons:
        excluded[holds] = reason
    return replace(found, flags=flags, excluded=excluded)


def _brokers(guid: Ints, children: Children) -> Flags:
    """Which processes have started others for somebody."""
    known = np.sort(children.parent[children.parent != UNKNOWN])
    return np.asarray(among(guid, known) & (guid != UNKNOWN), bool)


def _started(child: Small, candidate: Small, frame: pl.DataFrame, numbers: Numbers) -> Flags:
    """Whether a candidate is the parent: by GUID, else by process id."""
    parent, guid = numbers.parent[child], numbers.guid[candidate]
    started = np.asarray(parent == guid, bool)
    unnamed = np.flatnonzero((parent == UNKNOWN) | (guid == UNKNOWN))
    theirs, own = frame["parent_pid"].gather(child[unnamed]), frame["pid"].gather(candidate[unnamed])
    started[unnamed] = (theirs == own).fill_null(value=False).to_numpy()
    return started


def _agreement(found: Candidates, numbers: Numbers) -> tuple[Small, Flags]:
    """(how the identities of each pair agree: LOGON, SESSION, USER, NAMELESS or 0; whether the user is the same)."""
    child, candidate = found.child, found.candidate
    guid, guids = numbers.logon_guid[child], numbers.logon_guid[candidate]
    luid, luids = numbers.logon[child], numbers.logon[candidate]
    named = (guid != UNKNOWN) & (guids != UNKNOWN)
    numbered = ~named & (luid != UNKNOWN) & (luids != UNKNOWN)
    logon = (named & (guid == guids)) | (numbered & (luid == luids))
    how = np.where(logon, np.int32(LOGON), np.int32(0))

    here, there = numbers.session[child], numbers.session[candidate]
    unknown = ((guids == UNKNOWN) & (luids == UNKNOWN)) | ((guid == UNKNOWN) & (luid == UNKNOWN))
    open_ = np.flatnonzero(~logon & (unknown | (here == there) | ((found.flags & acts.HAND_OVER) != 0)))
    mine, theirs = numbers.user[child[open_]], numbers.user[candidate[open_]]
    unnamed = (mine == UNKNOWN) | (theirs == UNKNOWN)
    user = ~unnamed & (mine == theirs)
    unknown, here, there = unknown[open_], here[open_], there[open_]
    how[open_[unknown & unnamed]] = NAMELESS
    how[open_[unknown & user & ((there == UNKNOWN) | (here == there))]] = USER
    how[open_[~unknown & user & (here == there) & (here > 0)]] = SESSION
    same = logon.copy()
    same[open_] |= user
    return how, same


def explained(flags: pl.Series) -> pl.Series:
    """What speaks for each pair, in words."""
    met, which = np.unique(flags.to_numpy(), return_inverse=True)
    return pl.Series([[text for bit, text in _WORDS if f & bit] for f in met.tolist()], dtype=TEXTS).gather(which)


_WORDS: Iterable[tuple[int, str]] = (
    (PAIR, "RPCSS opened it in the thread that started the child (Sysmon 10)"),
    (SCM_PAIR, "the service manager opened it in the thread that started the child (Sysmon 10)"),
    (acts.LINE, "its command line names the request"),
    (acts.HAND_OVER, "explorer.exe hands its target over to what COM starts"),
    (acts.BLOCK, "its script names the request (PowerShell 4104)"),
    (acts.PIPELINE, "its pipeline names the request (PowerShell 4103)"),
    (acts.CALL, "its WMI call names the request (WMI-Activity 5858)"),
    (acts.MAYBE, "a script of its process id names the request (PowerShell 4104, 4103); the id may have been given on"),
    (VIA_SURROGATE, "through the process that COM started for it"),
    (CONTACT, "COM client: RPCSS opened it (Sysmon 10)"),
    (CATALOGUE, "COM client: loaded clbcatq.dll (Sysmon 7)"),
    (LOGON, "same logon session"),
    (SESSION, "same user and session"),
    (USER, "same user; its logon session is not known"),
    (NAMELESS, "its user is not known"),
)
