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
    if not all((characters[:, place] == ord(sign)).all() for place, sign in _OTHERS.items()):
        return None
    digits = characters[:, _DIGITS].astype(np.int64) - ord("0")
    if digits.min(initial=0) < 0 or digits.max(initial=0) > 9:
        return None
    year = digits[:, 0] * 1000 + digits[:, 1] * 100 + digits[:, 2] * 10 + digits[:, 3]
    month, day, hour, minute, second = (digits[:, at] * 10 + digits[:, at + 1] for at in (4, 6, 8, 10, 12))
    if month.min(initial=1) < 1 or month.max(initial=1) > 12:
        return None
    leap = ((year % 4 == 0) & (year % 100 != 0)) | (year % 400 == 0)
    longest = _MONTH[month] + (leap & (month == 2))
    fits = (year >= 1678) & (year <= 2261) & (day >= 1) & (day <= longest)  # the years that ns can tell
    if not (fits & (hour <= 23) & (minute <= 59) & (second <= 59)).all():
        return None
    milli = digits[:, 14] * 100 + digits[:, 15] * 10 + digits[:, 16]
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
