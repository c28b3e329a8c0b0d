"""`process.code_signature.*` and `process.Ext.relative_file_*`: what Sysmon's neighbours of a process tell of its file.

Sysmon logs neither with a process. They are read as `hunt.signatures` does; unknown is absent, which is neither signed
nor unsigned, neither old nor new.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from functools import partial

import polars as pl

from hunt import processes, signatures
from hunt.ecs.fields import Field, FieldInfo, Part, Type, made
from hunt.ecs.values import present
from hunt.model import Case, EventType
from hunt.schema import TIME

_TOLD = {name: f"_file_{name}" for name in ("signature", "signer", "file_age_s")}
_OF_START = frozenset({"ProcessGuid", "Image", "Hashes"})
_SIGNED, _UNSIGNED = ("valid", "invalid"), "unsigned"


def _exists(judged: pl.Expr) -> pl.Expr:
    return (
        pl.when(judged.is_in(_SIGNED)).then(pl.lit(value=True)).when(judged == _UNSIGNED).then(pl.lit(value=False))
    )  # fmt: skip


def _trusted(judged: pl.Expr) -> pl.Expr:
    """Of what is signed: as in Elastic's own data it is absent for what is not."""
    return pl.when(judged.is_in(_SIGNED)).then(judged == "valid")


def _status(judged: pl.Expr) -> pl.Expr:
    """Why a signature is not trusted is not known."""
    return pl.when(judged == "valid").then(pl.lit("trusted"))


def _told(name: str) -> pl.Expr:
    return pl.col(_TOLD[name])


def _field(columns: frozenset[str], make: Callable[[], pl.Expr], type_: Type = "text", fraction: bool = False) -> Field:
    info = FieldInfo(type_, columns=columns, also=signatures.NEEDS, conditional=True, fraction=fraction)
    return Field(info, make, Part.FILE)


def of_events(event_id: int, guid: tuple[str, ...], image: str) -> Mapping[str, Field]:
    """Of the process that an event names in these columns."""
    columns = frozenset({*guid, image, *(("Hashes",) if event_id == 1 else ())})
    prefix = "process.code_signature."
    return {
        f"{prefix}exists": _field(columns, lambda: _exists(_told("signature")), "boolean"),
        f"{prefix}trusted": _field(columns, lambda: _trusted(_told("signature")), "boolean"),
        f"{prefix}valid": _field(columns, lambda: _trusted(_told("signature")), "boolean"),
        f"{prefix}status": _field(columns, lambda: _status(_told("signature"))),
        f"{prefix}subject_name": _field(columns, lambda: present(_told("signer"))),
    }


def _age() -> pl.Expr:
    return _told("file_age_s")


# Seconds before the start. There is no event for a renamed file: its name is as old as the file, or unknown.
AGES: Mapping[str, Field] = {
    "process.Ext.relative_file_creation_time": _field(_OF_START, _age, "number", fraction=True),
    "process.Ext.relative_file_name_modify_time": _field(_OF_START, _age, "number", fraction=True),
}


def known(case: Case, kind: EventType, events: pl.LazyFrame) -> pl.LazyFrame:
    """Events (Sysmon) in their order, with what is known of their processes' files."""
    told = _of_starts(case, events) if kind.event_id == 1 else _of_others(case, kind, events)
    return pl.concat([events, told], how="horizontal")


def _of_starts(case: Case, starts: pl.LazyFrame) -> pl.LazyFrame:
    named = starts.select(
        "host",
        pl.col("ProcessGuid").alias("guid"),
        pl.col("Image").alias("image"),
        pl.col("time").alias("start"),
        processes.sha256("Hashes").alias("sha256"),
    )
    return signatures.known(case, named).select(_told_of())


def _of_others(case: Case, kind: EventType, events: pl.LazyFrame) -> pl.LazyFrame:
    """They name few processes many times, and tell neither when these started nor what their files held."""
    source = kind.event_id in (8, 10)
    keys = ["host", "guid", "image"]
    named = events.select(
        "host",
        pl.coalesce(("SourceProcessGuid", "SourceProcessGUID") if source else ("ProcessGuid",)).alias("guid"),
        pl.col("SourceImage" if source else "Image").alias("image"),
    )
    few = named.unique(maintain_order=True).with_columns(
        pl.lit(None, TIME).alias("start"), pl.lit(None, pl.String).alias("sha256")
    )
    judged = signatures.known(case, few).select(*keys, *_told_of())
    return named.join(judged, on=keys, how="left", nulls_equal=True, maintain_order="left").drop(keys)


def _told_of() -> list[pl.Expr]:
    return [pl.col(name).alias(ours) for name, ours in _TOLD.items()]


def loaded(prefix: str) -> Iterator[tuple[str, Field]]:
    """Of the file that Sysmon 6 and 7 tell of, which they judge themselves."""
    columns = ("Signed", "SignatureStatus", "Signature")
    for name, make in (("exists", _exists), ("trusted", _trusted), ("valid", _trusted)):
        yield f"{prefix}.code_signature.{name}", made(partial(_judged, make), *columns, type="boolean")
    yield f"{prefix}.code_signature.status", made(_statuses, "SignatureStatus", many=True)
    yield f"{prefix}.code_signature.subject_name", made(lambda column: present(pl.col(column)), "Signature")


def _judged(make: Callable[[pl.Expr], pl.Expr], *columns: str) -> pl.Expr:
    judgement, _ = signatures.load_judged()
    return make(judgement)


def _statuses(column: str) -> pl.Expr:
    """As Sysmon calls it, and as Elastic Defend does."""
    told = present(pl.col(column))
    defend = told.str.to_lowercase().replace_strict(
        {"valid": "trusted", "expired": "errorExpired"}, default=None, return_dtype=pl.String
    )
    return pl.when(told.is_not_null()).then(pl.concat_list(told, defend).list.drop_nulls())
