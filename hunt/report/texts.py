"""Texts of the evidence as a page shows them: harmless, not endless, and each written once."""

from __future__ import annotations

import math

from hunt.output._safe import safe

LONGEST = 2_000  # characters of one text in the page; the whole stands in the CSV files of the run
NONE = 0  # the place of what is not known


def shown(text: str, most: int = LONGEST) -> str:
    """One line without hidden characters; of a longer one its beginning, and how long it is."""
    if len(text) <= most:
        return safe(text)
    return f"{safe(text[:most])}… ({len(text):,} characters)"


_EXACT = 1 << 53  # scripts count in doubles: from here on they would round


def number(value: object) -> object:
    """A number as a page can tell it: a very large one as text, one that is none as not known; others as they are."""
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return str(value) if isinstance(value, int) and abs(value) >= _EXACT else value


class Texts:
    """Texts by their place: evidence repeats itself, and a page with each text once is a fraction of the size."""

    def __init__(self, longest: int = LONGEST) -> None:
        self.all: list[str | None] = [None]
        self.longest = longest  # characters that are shown of one
        self.size = 0  # characters
        self._places: dict[str, int] = {}

    def place(self, text: object) -> int:
        """Where `shown(text)` stands in `all`; NONE for None."""
        if text is None:
            return NONE
        whole = str(text)
        place = self._places.get(whole)
        if place is None:
            said = shown(whole, self.longest)
            place = self._places.get(said)
            if place is None:
                place = self._places[said] = len(self.all)
                self.all.append(said)
                self.size += len(said) + 3  # quotes and comma
            if len(whole) <= self.longest:  # longer ones are not kept
                self._places[whole] = place
        return place
