"""The temporary folder that members of archives are read from: made when first needed, always removed."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType

from hunt.errors import EvidenceError, LimitError

PREFIX = "evtx-hunt-"  # of temporary folders' names
RESERVE = 512 << 20  # bytes of the disk that are left free
_EVERY = 64 << 20  # bytes written between two looks at what is free


class Spool:
    """Files under names of our own; a context manager."""

    def __init__(self, evidence: Sequence[Path]) -> None:
        """`evidence`: folders that nothing is written into."""
        self._evidence = evidence
        self._folder: Path | None = None
        self._count = 0
        self._unlooked = 0

    def __enter__(self) -> Spool:
        return self

    def path(self) -> Path:
        """Where the next file may be written. Raises EvidenceError if that would be beside evidence."""
        if self._folder is None:
            self._folder = self._made()
        self._count += 1
        return self._folder / f"{self._count:06d}"

    def _made(self) -> Path:
        place = Path(tempfile.gettempdir()).resolve()
        for argument in self._evidence:
            if argument.is_dir() and place.is_relative_to(argument.resolve()):
                raise EvidenceError(f"{argument}: holds the temporary folder; set TMPDIR to one that is no evidence")
        return Path(tempfile.mkdtemp(prefix=PREFIX, dir=place))

    def written(self, size: int) -> None:
        """So many bytes more lie there. Raises LimitError where the disk gets full."""
        self._unlooked += size
        if self._folder and self._unlooked >= _EVERY:
            self._unlooked = 0
            if shutil.disk_usage(self._folder).free < RESERVE:
                raise LimitError("the temporary folder's disk is full; TMPDIR names another folder")

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._folder is not None:
            shutil.rmtree(self._folder, ignore_errors=True)
