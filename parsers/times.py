"""Written times of many records at once: `2026-03-02 08:15:00.123`, as Sysmon's UtcTime has it."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from .framing import I64

WRITTEN = 23  # characters
_DIGITS = np.array([0, 1, 2, 3, 5, 6, 8, 9, 11, 12, 14, 15, 17, 18, 20, 21, 22])
_OTHERS = {4: "-", 7: "-", 10: " ", 13: ":", 16: ":", 19: "."}
_MONTH = np.array([0, 31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31])


def read(characters: npt.NDArray[np.uint16]) -> I64 | None:
    """ns since 1970 of rows of WRITTEN characters; None if one is no time as `hunt.schema` reads them."""
    if characters.max(initial=0) > ord(":"):  # the highest of all signs that occur
        return None
    # A row for each place, of small numbers: little memory to go through.
    signs = np.ascontiguousarray(characters.astype(np.uint8).T)
    if not all((signs[place] == ord(sign)).all() for place, sign in _OTHERS.items()):
        return None
    digits = signs[_DIGITS] - np.uint8(ord("0"))
    if digits.max(initial=0) > 9:
        return None
    ten = np.uint8(10)
    century, rest, month, day, hour, minute, second = (
        (digits[at] * ten + digits[at + 1]).astype(np.int64) for at in range(0, 14, 2)
    )
    year = century * 100 + rest
    if month.min(initial=1) < 1 or month.max(initial=1) > 12:
        return None
    leap = ((year % 4 == 0) & (year % 100 != 0)) | (year % 400 == 0)
    longest = _MONTH[month] + (leap & (month == 2))
    fits = (year >= 1678) & (year <= 2261) & (day >= 1) & (day <= longest)  # the years that ns can tell
    if not (fits & (hour <= 23) & (minute <= 59) & (second <= 59)).all():
        return None
    milli = (digits[14] * ten + digits[15]).astype(np.int64) * 10 + digits[16]
    seconds = ((_days(year, month, day) * 24 + hour) * 60 + minute) * 60 + second
    since: I64 = (seconds * 1000 + milli) * 1_000_000
    return since


def _days(year: I64, month: I64, day: I64) -> I64:
    """Days since 1970 in the Gregorian calendar, with years that begin in March (H. Hinnant, "chrono-Compatible
    Low-Level Date Algorithms", days_from_civil)."""
    year = year - (month <= 2)
    era = year // 400
    of_era = year - era * 400
    of_year = (153 * ((month + 9) % 12) + 2) // 5 + day - 1
    days: I64 = era * 146_097 + of_era * 365 + of_era // 4 - of_era // 100 + of_year - 719_468
    return days
