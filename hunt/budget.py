"""What unpacking has cost, against its limits: claimed sizes are never trusted, what comes out is counted."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hunt import pulse
from hunt.errors import LimitError

if TYPE_CHECKING:
    from hunt.model import Limits

# Bytes out of proportion that no limit on the ratio stops: small logs of mostly zeros are common.
GRACE = 128 << 20


class Budget:
    """Counts for one run; raises LimitError where a limit is passed."""

    def __init__(self, limits: Limits) -> None:
        self.limits = limits
        self._read = 0  # bytes, of all archives together
        self._members = 0
        self.enter(0)

    def enter(self, size: int) -> None:
        """A file of the evidence (size in bytes) is now unpacked: proportions are reckoned anew."""
        self._most = GRACE + size * self.limits.ratio
        self._out = 0
        self.excess = 0

    def member(self) -> None:
        """One more file inside an archive is met."""
        pulse.alive()
        self._members += 1
        if self._members > self.limits.members:
            raise LimitError(f"more than {self.limits.members} members; --max-members raises the limit")

    def read(self, size: int) -> None:
        """So many bytes of members were read."""
        pulse.alive()
        self._read += size
        if self._read > self.limits.unpacked:
            raise LimitError(f"more than {self.limits.unpacked} bytes were unpacked; --max-unpacked raises the limit")

    def meter(self) -> Meter:
        """For one compressed stream."""
        return Meter(self)

    def decoded(self, size: int) -> None:
        """So many bytes came out of a decompressor; the caller has seen to `excess`."""
        pulse.alive()
        self._out += size
        if self.excess > GRACE or self._out > self._most:
            ratio = self.limits.ratio
            raise LimitError(f"more than {ratio} bytes came out for each byte: a bomb? --max-ratio raises the limit")


class Meter:
    """What went into and came out of one decompressor."""

    def __init__(self, budget: Budget) -> None:
        self._budget = budget
        self._took = self._gave = self._excess = 0

    def took(self, size: int) -> None:
        """So many compressed bytes went in."""
        self._took += size

    def gave(self, size: int) -> None:
        """So many bytes came out. Raises LimitError."""
        self._gave += size
        excess = max(0, self._gave - self._took * self._budget.limits.ratio)
        self._budget.excess += excess - self._excess
        self._excess = excess
        self._budget.decoded(size)
