r"""The allowlist (`--allow FILE.yml`): findings that are known to be harmless. They stay in every output, marked.

The file is a list of entries. All fields of an entry must match (of several values of a field, one), as globs without
case; what a finding does not tell matches nothing:

    - image: 'C:\Program Files\Contoso\Inventory\agent.exe'    # the process that a finding accuses
      user: S-1-5-18                                           # a name or a SID
      reason: reads Outlook's version through COM, ticket 4711
      expires: 2027-06-30                                      # optional: the last day on which it counts

Fields: image, parent_image, command_line, user, sid, sha256, signer, host; of what is no process's doing also actor
(the caller: a SID or a name), object (a mailbox, or a file with its path) and action (a cmdlet or an operation);
`query` narrows an entry to some hunts. A caller's SID is matched by `sid` and `user` as well.
A name is what an attacker chooses: an entry needs two fields, and among them a path with its folder, a user, a caller,
a hash or a signer.
"""

from __future__ import annotations

import hashlib
import re
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

import polars as pl
import yaml

from hunt import globs, logons, signatures
from hunt.errors import HuntError
from hunt.filters import moment
from hunt.model import Case, Need

_LARGEST = 1 << 20  # bytes of a file
_LONGEST = 4096  # characters of a value
_VALUES = 100  # of one field
_ENTRIES = 2_000

_PATHS = frozenset({"image", "parent_image"})
_FIELDS = (*sorted(_PATHS), "command_line", "user", "sid", "sha256", "signer", "host", "actor", "object", "action")
_KEYS = (*_FIELDS, "query", "reason", "expires")
# Under which account, of which content, of whose making: none of it is a name of one's choice.
_STRONG = frozenset({"user", "sid", "sha256", "signer", "actor"})
# Programs of Windows and others that run whatever they are told to: that their path is known says nothing of what ran.
_INTERPRETERS = tuple(
    f"{name}.exe"
    for name in (
        "rundll32", "mshta", "powershell", "pwsh", "powershell_ise", "cmd", "regsvr32", "cscript", "wscript", "wmic",
        "wmiprvse", "wsmprovhost", "winrshost", "msbuild", "installutil", "regasm", "regsvcs", "dllhost", "svchost",
        "forfiles", "pcalua", "explorer", "conhost", "bash", "wsl", "python", "pythonw", "py", "java", "javaw", "node",
        "perl", "ruby", "php", "autoit3", "autohotkey", "winword", "excel", "powerpnt", "msaccess", "outlook",
    )
)  # fmt: skip

# Grades that name a requester by circumstance alone (the same user and session, or time only).
_GUESSES = ("E", "F")


@dataclass(frozen=True, slots=True)
class Entry:
    """One exception. `fields`: globs by field, folded as what they are compared with."""

    number: int  # from 1, in the file
    line: int
    fields: Mapping[str, tuple[str, ...]]
    reason: str
    expires: datetime | None  # UTC, inclusive
    expired: bool


@dataclass(frozen=True, slots=True)
class Allowlist:
    """The entries of a file, in its order; empty if none was given."""

    file: str = ""
    sha256: str = ""
    entries: tuple[Entry, ...] = ()
    counts: Counter[int] = field(default_factory=Counter)  # findings that are marked, by the entry's number
    kept: Counter[int] = field(default_factory=Counter)  # findings that match and are not marked

    def needs(self) -> tuple[Need, ...]:
        """What must be read to compare SIDs and signers."""
        return (*((logons.NEED,) * self._by_sid()), *(signatures.NEEDS * self._by_signer()))

    def mark(self, findings: pl.DataFrame, case: Case) -> pl.DataFrame:
        """`suppressed`: the reason of the first entry that matches a finding, else null.

        A finding whose requester is not known, on another machine, ambiguous or a guess (grade E, F) is not marked:
        somebody else may be meant.
        """
        self.begin()
        return self.mark_more(findings, case)

    def begin(self) -> None:
        """Forget what was counted."""
        self.counts.clear()
        self.kept.clear()

    def mark_more(self, findings: pl.DataFrame, case: Case) -> pl.DataFrame:
        """As `mark`, of other findings: what was counted goes on."""
        if not findings.height or not self._valid():
            return findings
        unknown = pl.Series([None], dtype=pl.String).new_from_index(0, findings.height)
        sids = logons.sids(findings, case) if self._by_sid() else unknown
        signers = _signers(findings, case) if self._by_signer() else unknown
        keyed = _keyed(findings, sids, signers)
        unsure = keyed["_unsure"]
        reasons = pl.Series("suppressed", [None], dtype=pl.String).new_from_index(0, findings.height)
        for entry in self._valid():
            matching = keyed.select(_matching(entry))[:, 0] & reasons.is_null()
            marked = matching & ~unsure
            self.counts[entry.number] += int(marked.sum())
            self.kept[entry.number] += int((matching & unsure).sum())
            told = pl.when(marked).then(pl.lit(entry.reason)).otherwise("suppressed").alias("suppressed")
            reasons = reasons.to_frame().select(told)["suppressed"]
        return findings.with_columns(reasons)

    def notes(self) -> Iterator[str]:
        """What the user should know of entries that did not do what they may be thought to do."""
        for entry in self.entries:
            if entry.expired and entry.expires:
                yield f"{self.file}: entry {entry.number} expired on {entry.expires:%Y-%m-%d} and does nothing"
            elif self.kept[entry.number]:
                yield (
                    f"{self.file}: entry {entry.number} matches {self.kept[entry.number]} more whose requester is not "
                    "known, ambiguous or a guess: they are not suppressed"
                )
            elif not self.counts[entry.number]:
                yield f"{self.file}: entry {entry.number} matches no finding"

    def told(self) -> dict[str, object] | None:
        """For the manifest."""
        if not self.file:
            return None
        return {
            "file": self.file,
            "sha256": self.sha256,
            "entries": [
                {
                    "entry": entry.number,
                    "reason": entry.reason,
                    "expires": entry.expires.isoformat() if entry.expires else None,
                    "expired": entry.expired,
                    "suppressed": self.counts[entry.number],
                    "matched_but_unsure": self.kept[entry.number],
                }
                for entry in self.entries
            ],
        }

    def _valid(self) -> list[Entry]:
        return [entry for entry in self.entries if not entry.expired]

    def _by_sid(self) -> bool:
        users = (glob for entry in self._valid() for glob in entry.fields.get("user", ()))
        return any("sid" in entry.fields for entry in self._valid()) or any(glob.startswith("s-1-") for glob in users)

    def _by_signer(self) -> bool:
        return any("signer" in entry.fields for entry in self._valid())


def _signers(findings: pl.DataFrame, case: Case) -> pl.Series:
    """Who signed each accused image, if the signature is valid: anybody can sign as anybody otherwise."""
    images = findings.lazy().select("host", pl.col("process_guid").alias("guid"), "image", "start", "sha256")
    return signatures.known(case, images).select(pl.when(signature="valid").then("signer")).collect()["signer"]


# What an entry's field is compared with, and how both are written alike.
def _keyed(findings: pl.DataFrame, known: pl.Series, signers: pl.Series) -> pl.DataFrame:
    named = findings.with_columns(signers.alias("signer")).select(
        "query", "host", "user", "command_line", "sha256", "signer", "actor", "action", "object", *sorted(_PATHS)
    )
    paths = [_plain(globs.folded(named[c], globs.fold_path)) for c in (*sorted(_PATHS), "object")]
    texts = [globs.folded(named[c]) for c in named.columns if c not in _PATHS and c != "object"]
    caller = named.select(pl.when(pl.col("actor").str.contains(r"(?i)^S-1-[0-9-]+$")).then("actor"))["actor"]
    sids = pl.DataFrame([known.alias("known"), caller]).select(pl.coalesce("known", "actor").alias("sid"))["sid"]
    return pl.DataFrame([*texts, *paths, globs.folded(sids)]).with_columns(
        *(pl.col(c).str.extract(r"([^\\]*)$").alias(f"{c}_name") for c in _PATHS),
        pl.col("host").str.extract(r"^([^.]*)").alias("host_name"),
        _unsure(findings),
    )


def _unsure(findings: pl.DataFrame) -> pl.Series:
    """Where somebody else than the process that a finding names may be meant, or it names none."""
    told = findings.select(
        pl.col("ambiguous")
        | pl.col("grade").is_in(_GUESSES)
        | (pl.col("locality") == "remote")
        | (pl.col("image").is_null() & pl.col("actor").is_null())
    )
    return told[:, 0].fill_null(value=False).alias("_unsure")


def _plain(paths: pl.Series) -> pl.Series:
    """Paths, null where they lead elsewhere than they seem to: `C:\\Program Files\\..\\Users\\x.exe`."""
    return paths.to_frame().select(
        pl.when(~pl.col(paths.name).str.contains(r"(?:^|\\)\.\.?(?:\\|$)")).then(paths.name)
    )[:, 0]


def _matching(entry: Entry) -> pl.Expr:
    return pl.all_horizontal(
        pl.any_horizontal(_glob(name, glob) for glob in values) for name, values in entry.fields.items()
    )


def _glob(name: str, glob: str) -> pl.Expr:
    if name in _PATHS and "\\" not in glob:
        return globs.matches(f"{name}_name", glob)
    if name == "user":
        return globs.matches("user", glob) | globs.matches("sid", glob)
    if name == "host" and "." not in glob:  # as --host: the name without its domain will do
        return globs.matches("host", glob) | globs.matches("host_name", glob)
    return globs.matches(name, glob)


# Reading.


def load(path: Path, now: datetime) -> Allowlist:
    """The entries of a file; those that expired before `now` (UTC) do nothing. Raises HuntError, naming the entry."""
    try:
        with path.open("rb") as file:
            content = file.read(_LARGEST + 1)
    except OSError as error:
        raise HuntError(f"{path}: can't be read: {error.strerror or error}") from None
    if len(content) > _LARGEST:
        raise HuntError(f"{path}: is larger than {_LARGEST >> 10} KiB, which no allowlist is")
    entries = tuple(_entry(path, number, node, now) for number, node in enumerate(_nodes(path, content), 1))
    return Allowlist(path.name, hashlib.sha256(content).hexdigest(), entries)


def _nodes(path: Path, content: bytes) -> list[yaml.Node]:
    """The entries as they stand there. No object is made of them: YAML would read `no` and 2027-06-30 as something."""
    try:
        root = yaml.compose(content, Loader=yaml.SafeLoader)
    except yaml.YAMLError as error:
        said = " ".join(str(error).split())[:300]
        raise HuntError(f"{path}: is no YAML ({said}); paths belong in single quotes") from None
    except RecursionError:
        raise HuntError(f"{path}: is nested too deeply for an allowlist") from None
    if not isinstance(root, yaml.SequenceNode) or not root.value:
        raise HuntError(f"{path}: an allowlist is a list of entries, each with fields to match and a reason")
    if len(root.value) > _ENTRIES:
        raise HuntError(f"{path}: has more than {_ENTRIES} entries")
    return list(root.value)


def _entry(path: Path, number: int, node: yaml.Node, now: datetime) -> Entry:
    line = node.start_mark.line + 1
    where = f"{path}: entry {number} (line {line})"
    if not isinstance(node, yaml.MappingNode):
        raise HuntError(f"{where} is no mapping of fields to what they match")
    given = _values(where, node)
    reason = _only(where, "reason", given.pop("reason", ()))
    expires = given.pop("expires", ())
    until = _moment(where, _only(where, "expires", expires)) if expires else None
    fields = {name: tuple(_folded(where, name, value) for value in values) for name, values in given.items()}
    _check(where, fields)
    return Entry(number, line, fields, reason, until, until is not None and until < now)


def _values(where: str, node: yaml.MappingNode) -> dict[str, tuple[str, ...]]:
    """The texts by key; what is said twice may be meant otherwise than it would be read."""
    found: dict[str, tuple[str, ...]] = {}
    for key, value in node.value:
        name = key.value if isinstance(key, yaml.ScalarNode) else "?"
        if name not in _KEYS:
            raise HuntError(f"{where}: no field is called {name[:40]!r} (have: {', '.join(_KEYS)})")
        if name in found:
            raise HuntError(f"{where}: {name} stands there twice; for several values give a list")
        many = value.value if isinstance(value, yaml.SequenceNode) else [value]
        if not 0 < len(many) <= _VALUES:
            raise HuntError(f"{where}: {name} has {len(many)} values; 1 to {_VALUES} are possible")
        found[name] = tuple(_text(where, name, one) for one in many)
    return found


def _text(where: str, name: str, node: yaml.Node) -> str:
    if not isinstance(node, yaml.ScalarNode):
        raise HuntError(f"{where}: {name} is neither a text nor a list of texts")
    text = str(node.value).strip()
    if not text or node.tag == "tag:yaml.org,2002:null":
        raise HuntError(f"{where}: {name} is empty")
    if len(text) > _LONGEST:
        raise HuntError(f"{where}: {name} is longer than {_LONGEST} characters")
    return text


def _only(where: str, name: str, values: tuple[str, ...]) -> str:
    if len(values) != 1:
        raise HuntError(f"{where}: a {name} is needed" if not values else f"{where}: {name} is one text, no list")
    return values[0]


def _moment(where: str, text: str) -> datetime:
    try:
        return moment(text, end=True).at
    except HuntError as error:
        raise HuntError(f"{where}: expires: {error}") from None


def _folded(where: str, name: str, value: str) -> str:
    if name == "sha256" and not re.fullmatch("[0-9A-Fa-f]{64}", value):
        raise HuntError(f"{where}: {value[:80]!r} is no SHA-256, which has 64 hexadecimal digits")
    if name in (*_PATHS, "object") and value.startswith("%"):
        raise HuntError(f"{where}: {name}: what {value.split(chr(92))[0][:40]} stood for is not in the logs")
    return globs.fold_path(value) if name in (*_PATHS, "object") else globs.fold(value)


# `C:\folder\...`, `?:\folder\...`, `\\server\share\...`: the first folder is named, as in `Program Files*`.
_PLACED = re.compile(r"(?:[a-z?]:|\\\\[^\\*?]+)\\(?:[^\\*?]+|[^\\*?]{3,}[^\\]*)\\")
_WILD = re.compile(r"[*?]")


def _check(where: str, fields: Mapping[str, tuple[str, ...]]) -> None:
    """That an entry says more than a name. Of several values, the weakest counts."""
    said = [name for name, values in fields.items() if name != "query" and all(map(globs.telling, values))]
    empty = [name for name in fields if name != "query" and name not in said]
    if empty:
        raise HuntError(f"{where}: {empty[0]} matches everything; leave it out or say more")
    strong = [name for name in said if name in _STRONG and all(_exact(name, value) for value in fields[name])]
    placed = [name for name in said if name in _PATHS and all(map(_PLACED.match, fields[name]))]
    own = [name for name in placed if not any(map(_runs_anything, fields[name]))]
    # A script host's path will do if its command line is given to the letter.
    whole = placed and not any(map(_WILD.search, fields.get("command_line", ("*",))))
    if len(said) < 2 or not (strong or own or whole):
        what = f"{' and '.join(said)} alone" if said else "nothing"
        raise HuntError(
            f"{where}: matches {what}, which anybody can imitate: an entry needs two fields, one of them a path with "
            "its folder (of a program that runs no scripts, or with the whole command line), sha256, or user, sid, "
            "actor or signer by name"
        )


def _exact(name: str, value: str) -> bool:
    """Whether a value names one account, or accounts or signers of one name's beginning (`CONTOSO\\svc-*`)."""
    if name == "sha256" or not _WILD.search(value):
        return True
    if name == "sid" or value.startswith("s-1-"):
        return not _WILD.search(value.rsplit("-", 1)[-1])
    *domain, last = re.split(r"[\\/]", value)  # `domain.example/folder/user` is how Exchange names one
    return (name == "signer" or bool(domain)) and not _WILD.search(last[:3]) and len(last) > 3


def _runs_anything(path: str) -> bool:
    """Whether a path glob can mean a program that runs whatever it is told to."""
    folder, _, name = path.rpartition("\\")
    if _WILD.search(name) and folder.count("\\") > 1 and "\\windows" not in folder:
        return False  # in a vendor's folder
    return any(re.fullmatch(globs.pattern(name), program) for program in _INTERPRETERS)
