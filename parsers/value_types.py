"""What sizes values of each type have ([MS-EVEN6] 2.2.12), for many records at once; `values` reads one."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from . import values

GUID, FILETIME, HEX32, HEX64, SIZE_T = 0x0F, 0x11, 0x14, 0x15, 0x10
# Size in bytes by value type; of types that are not here it varies, or they are no values of a column.
SIZES = {0x03: 1, 0x04: 1, 0x05: 2, 0x06: 2, 0x07: 4, 0x08: 4, 0x09: 8, 0x0A: 8, 0x0B: 4, 0x0C: 8}
SIZES |= {GUID: 16, FILETIME: 8, 0x12: 16, HEX32: 4, HEX64: 8}
UNSIGNED = frozenset({0x04, 0x06, 0x08, 0x0A, HEX32, HEX64})

# The same as a table, with what else may be said of a type. Kernels know these numbers.
EVEN, ANY, NONE = -2, -1, -3
SIZE = np.full(256, NONE, np.int64)
for _kind, _size in SIZES.items():
    SIZE[_kind] = _size
SIZE[[values.STRING, values.STRING | values.ARRAY]] = EVEN
_VARYING = [values.ANSI_STRING, 0x0D, 0x0E, SIZE_T, 0x13, *(k | values.ARRAY for k in values.WIDTHS)]
SIZE[[*_VARYING, values.ANSI_STRING | values.ARRAY]] = ANY


def are_null(kind: npt.NDArray[np.uint8], size: npt.NDArray[np.integer[Any]]) -> npt.NDArray[np.bool_]:
    """Element by element what `values.is_null` tells."""
    text = (kind == values.STRING) | (kind == values.ANSI_STRING)
    null: npt.NDArray[np.bool_] = (kind == values.NULL) | ((size == 0) & ~text)
    return null
