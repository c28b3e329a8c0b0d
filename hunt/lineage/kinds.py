"""Arrays of numbers, and what stands for null in them."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Ints = npt.NDArray[np.signedinteger]
Small = npt.NDArray[np.int32]  # of what there are many millions
Flags = npt.NDArray[np.bool_]

UNKNOWN = -1  # the evidence does not say
FOREVER = np.iinfo(np.int64).max  # an end that is not known
NEVER = np.iinfo(np.int64).min  # a start that is not known
