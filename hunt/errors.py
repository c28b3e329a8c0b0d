"""What a user is told when a request can't be served; `cli.py` alone turns these into one line on stderr."""

from __future__ import annotations

from pathlib import Path


class HuntError(Exception):
    """A file or request we can't serve; the message names the thing and the way out."""


class EvidenceError(HuntError):
    """Named evidence is missing, or nothing in it can be read."""


class QueryError(HuntError):
    """A named query does not exist, or none of the named ones could run."""


class TooLargeError(HuntError):
    """What must be in memory at once is more than --memory allows: so many bytes of events."""

    def __init__(self, reason: str, size: int = 0) -> None:
        super().__init__(reason)
        self.size = size


class ContainerError(Exception):
    """A container, or a member of one, that can't be read (on): damaged, encrypted. Data: it becomes a Problem."""


class PartOfAnotherError(ContainerError):
    """A file that is read with another one, as the further segments of a disk image are: nothing is lost."""

    def __init__(self, whole: Path) -> None:
        super().__init__(f"is read with {whole.name}")
        self.whole = whole


class LimitError(ContainerError):
    """A limit of unpacking is passed: nothing more of this container is read."""
