"""Template definitions of many chunks, each parsed once.

A definition's body differs from chunk to chunk only where it refers to names, which are offsets into the chunk. So a
definition is known if, those fields left out, its bytes are those of one that was parsed before, and if the names that
its fields lead to are the same, byte for byte.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from hunt import native

from . import bxml, records
from .framing import I64, U8, loads, rows
from .layout import Layout, Shape, layout

UNREADABLE = -1
_KEPT = 20_000  # templates kept; evidence made of new ones is parsed definition by definition
_FIXED = bxml.TEMPLATE_HEADER
# What real templates stay far below; others are left to the walker.
_KEYS = 64  # distinct ones, in one batch, that are told apart one after the other
_TURNS = 8  # templates of one family, in one batch, that are looked for one after the other
_MASKS = 16  # ways in which the names of one definition stand in place or elsewhere
_WIDEST = 1 << 16  # bytes of all names that a definition refers to, each as long as the longest


@dataclass(frozen=True, slots=True)
class Known:
    """A definition that was parsed: its layout (None: its records are read one by one) and how to know it again."""

    layout: Layout | None
    shape: int  # the number of its layout's
    names: int  # the number of what it refers to


@dataclass(frozen=True, slots=True)
class _Names:
    """What a body refers to: many templates, those of the hosts of forwarded logs say, refer to the same."""

    fields: I64  # positions in the body of fields that refer to names in place
    elsewhere: I64  # and of those that refer to names elsewhere in the chunk
    # The names elsewhere, from four bytes behind the offset on: u16 hash, u16 length, characters.
    stored: U8  # one a row, filled up to the longest with zeros
    size: I64  # bytes of each


@dataclass(slots=True)
class _Family:
    """Definitions of one GUID and size: by which bytes are left out, then by the others, the template's number."""

    masks: list[tuple[I64, dict[bytes, int]]] = field(default_factory=list)


class Templates:
    """Numbers for template definitions; the same number means the same columns."""

    def __init__(self) -> None:
        self.known: list[Known] = []
        self.shapes: list[Shape] = []
        self._shape_numbers: dict[Shape, int] = {}
        self._names: list[_Names] = []
        self._names_numbers: dict[tuple[bxml.NameField, ...], int] = {}
        self._shape_of = np.empty(0, np.int32)
        self._families: dict[tuple[str | None, bytes], _Family] = {}

    @property
    def crowded(self) -> bool:
        """Whether more templates are known than logs of many hosts have."""
        return len(self.known) > _KEPT // 2

    def shape_numbers(self, numbers: npt.NDArray[np.int32]) -> npt.NDArray[np.int32]:
        """For numbers of templates those of their shapes; UNREADABLE where there is none."""
        table = self._shape_of
        if table.size < len(self.known):
            table = self._shape_of = np.array([known.shape for known in self.known], np.int32)
        return np.where(numbers == UNREADABLE, UNREADABLE, table[numbers]) if table.size else numbers

    def text(self, number: int, column: str | int) -> str:
        """The text that instances of a template share in a column."""
        layout = self.known[number].layout
        return layout.texts[column] if layout else ""

    def numbers(self, data: U8, at: I64, within: str | None) -> npt.NDArray[np.int32]:
        """The numbers of the definitions at `at` (bytes into `data`, whole chunks); UNREADABLE for what is none.

        `within`: see `layout`.
        """
        found = np.full(at.size, UNREADABLE, np.int32)
        size = loads(data, "<u4")[at + 20].astype(np.int64)
        fits = (at & (records.CHUNK - 1)) + _FIXED + size <= records.CHUNK
        # Definitions do not overlap. Where they were made to, each may be as large as the chunk: not for matrices.
        chunk = at // records.CHUNK
        fits &= np.bincount(chunk, np.where(fits, size, 0))[chunk] <= records.CHUNK
        for key, chosen in _by_key(data, at, np.flatnonzero(fits)):
            found[chosen] = self._family_numbers(data, at[chosen], int(size[chosen[0]]), within, key)
        return found

    def _family_numbers(self, data: U8, at: I64, size: int, within: str | None, key: bytes) -> npt.NDArray[np.int32]:
        family = self._families.setdefault((within, key), _Family())
        found = np.full(at.size, UNREADABLE, np.int32)
        missing = np.arange(at.size)
        for masked, numbers in list(family.masks):
            missing = self._look_up(data, at, size, masked, numbers, found, missing)
        while missing.size:
            # What is parsed now may be what others of this batch are, too.
            first = int(missing[0])
            found[first] = self._parse(data, int(at[first]), size, within, family)
            missing = missing[1:]
            if missing.size and found[first] != UNREADABLE:
                masked, numbers = self._mask_of(family, int(found[first]), size)
                missing = self._look_up(data, at, size, masked, numbers, found, missing)
        return found

    def _look_up(
        self,
        data: U8,
        at: I64,
        size: int,
        masked: I64,
        numbers: dict[bytes, int],
        found: npt.NDArray[np.int32],
        missing: I64,
    ) -> I64:
        """Fill in what is known of the missing; return what is still missing."""
        hits = _looked_up(data, at[missing] + _FIXED, size, masked, numbers)
        found[missing] = self._with_names(data, at[missing], hits)
        left: I64 = missing[found[missing] == UNREADABLE]
        return left

    def _mask_of(self, family: _Family, number: int, size: int) -> tuple[I64, dict[bytes, int]]:
        wanted = _field_bytes(self._names[self.known[number].names], size)
        return next((mask, numbers) for mask, numbers in family.masks if np.array_equal(mask, wanted))

    def _with_names(self, data: U8, at: I64, hits: npt.NDArray[np.int32]) -> npt.NDArray[np.int32]:
        """`hits` where the names are those of the template as well, else UNREADABLE."""
        kept = hits.copy()
        offsets = loads(data, "<u4")
        base = at & ~np.int64(records.CHUNK - 1)
        referred = np.array([UNREADABLE if n == UNREADABLE else self.known[n].names for n in hits.tolist()], np.int32)
        for number in set(referred.tolist()) - {UNREADABLE}:
            names, chosen = self._names[number], np.flatnonzero(referred == number)
            if native.kernels:
                fits = np.empty(chosen.size, bool)
                told = (names.fields, names.elsewhere, names.stored, names.size)
                native.kernels.named(data, at[chosen], *told, fits)
                kept[chosen[~fits]] = UNREADABLE
                continue
            body = (at[chosen] + _FIXED)[:, None]
            in_place = offsets[body + names.fields] == body + names.fields + 4 - base[chosen][:, None]
            right = in_place.all(axis=1)
            name = offsets[body + names.elsewhere].astype(np.int64)
            if name.size:
                right &= _stand(data, base[chosen], name + 4, names).all(axis=1)
            kept[chosen[~right]] = UNREADABLE
        return kept

    def _parse(self, data: U8, at: int, size: int, within: str | None, family: _Family) -> int:
        chunk = at & ~(records.CHUNK - 1)
        try:
            parsed = bxml.template(data[chunk : chunk + records.CHUNK].tobytes(), at - chunk)
        except ValueError:
            return UNREADABLE
        refers = self._refers(parsed.names)
        masked = _field_bytes(self._names[refers], size)
        numbers = next((numbers for mask, numbers in family.masks if np.array_equal(mask, masked)), None)
        full = len(self.known) >= _KEPT or (numbers is None and len(family.masks) >= _MASKS)
        if full or self._names[refers].stored.size > _WIDEST:
            return UNREADABLE
        if numbers is None:
            numbers = {}
            family.masks.append((masked, numbers))
        found = layout(parsed.parts, within)
        self.known.append(Known(found, self._shape(found), refers))
        numbers[_bare(data, at + _FIXED, size, masked)] = len(self.known) - 1
        return len(self.known) - 1

    def _refers(self, fields: Sequence[bxml.NameField]) -> int:
        key = tuple(fields)
        if key not in self._names_numbers:
            self._names.append(_names(fields))
            self._names_numbers[key] = len(self._names) - 1
        return self._names_numbers[key]

    def _shape(self, found: Layout | None) -> int:
        if found is None:
            return UNREADABLE
        if found.shape not in self._shape_numbers:
            self.shapes.append(found.shape)
            self._shape_numbers[found.shape] = len(self.shapes) - 1
        return self._shape_numbers[found.shape]


def _by_key(data: U8, at: I64, left: I64) -> Iterator[tuple[bytes, I64]]:
    """Of the definitions those that are `left`, by their GUIDs and sizes."""
    if native.kernels and left.size:
        key = (at[left] + 4).astype(np.int32)
        which, first = np.empty(left.size, np.int64), np.empty(_KEYS, np.int64)
        told = (np.full(left.size, _FIXED - 4, np.uint16), np.zeros(left.size, np.uint8), which, first)
        count = native.kernels.alike(data, key, *told)
        for number, place in enumerate(key[first[:count]].tolist()):
            yield data[place : place + _FIXED - 4].tobytes(), left[which == number]
        left = left[which < 0]
    keys = rows(data, at[left] + 4, _FIXED - 4)
    groups: dict[bytes, list[int]] = {}
    for row, index in enumerate(left.tolist()):
        groups.setdefault(keys[row].tobytes(), []).append(index)
    yield from ((key, np.array(members)) for key, members in groups.items())


def _looked_up(data: U8, at: I64, size: int, masked: I64, numbers: dict[bytes, int]) -> npt.NDArray[np.int32]:
    """What is known of the bodies at `at`, but for the bytes that are left out."""
    hits = np.full(at.size, UNREADABLE, np.int32)
    left = np.arange(at.size)
    if native.kernels:
        mask = np.full(size, 0xFF, np.uint8)
        mask[masked] = 0
        for _ in range(_TURNS):  # most are of a few templates
            if not left.size:
                return hits
            like, fits = _bare(data, int(at[left[0]]), size, masked), np.empty(left.size, bool)
            native.kernels.same(data, at[left], like, mask, fits)
            hits[left[fits]] = numbers.get(like, UNREADABLE)
            left = left[~fits]
    bare = rows(data, at[left], size)
    bare[:, masked] = 0
    hits[left] = [numbers.get(row.tobytes(), UNREADABLE) for row in bare]
    return hits


def _bare(data: U8, at: int, size: int, masked: I64) -> bytes:
    """A body without the bytes that are left out."""
    body = data[at : at + size].copy()
    body[masked] = 0
    return body.tobytes()


def _names(fields: Sequence[bxml.NameField]) -> _Names:
    in_place = [name.at for name in fields if name.stored is None]
    elsewhere = [(name.at, name.stored) for name in fields if name.stored is not None]
    size = np.array([len(name) for _, name in elsewhere], np.int64)
    longest = int(size.max(initial=0))
    stored = np.frombuffer(b"".join(name.ljust(longest, b"\0") for _, name in elsewhere), np.uint8)
    places = np.array([at for at, _ in elsewhere], np.int64)
    return _Names(np.array(in_place, np.int64), places, stored.reshape(len(elsewhere), longest), size)


def _stand(data: U8, base: I64, at: I64, names: _Names) -> npt.NDArray[np.bool_]:
    """Whether the names stand at `at` of the chunks at `base`: a row per chunk, a column per name."""
    width = names.stored.shape[1]
    start = base[:, None] + at
    inside = at + names.size <= records.CHUNK  # a name that ends outside its chunk is none
    shift = np.maximum(start + width - data.size, 0)  # at the very end of the data, fewer bytes follow than are read
    start = np.where(inside & (shift == 0), start, 0)
    found = rows(data, start.ravel(), width).reshape(*start.shape, width)
    different = found != names.stored
    different &= np.arange(width) < names.size[:, None]
    right: npt.NDArray[np.bool_] = inside & ~different.any(axis=2)
    for row, column in zip(*np.nonzero(inside & (shift > 0)), strict=True):
        first = int(base[row] + at[row, column])
        size = int(names.size[column])
        right[row, column] = data[first : first + size].tobytes() == names.stored[column, :size].tobytes()
    return right


def _field_bytes(names: _Names, size: int) -> I64:
    """The bytes of a body that differ from chunk to chunk: references, and the `next` of names in place."""
    starts = np.concatenate([names.fields, names.fields + 4, names.elsewhere])
    places = (starts[:, None] + np.arange(4)).ravel()
    return np.array(sorted(set(places[places < size].tolist())), np.int64)
