"""Disk images gone through in this process: what the sandbox does in another one."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from hunt.containers import _walk, _wanted


@dataclass(slots=True)
class Walked:
    """All that an image gives."""

    files: dict[str, bytes] = field(default_factory=dict)
    failed: dict[str, str] = field(default_factory=dict)  # files that can't be read to their end
    reasons: list[tuple[str, str]] = field(default_factory=list)  # (place, what can't be read)
    rests: list[str] = field(default_factory=list)


def walked(path: Path) -> Walked:
    """Every file of an image, read to its end."""
    found = Walked()
    for step in _walk.walk(path, 0, lambda: None):
        if isinstance(step, _walk.Unread):
            found.reasons.append((step.name, step.reason))
        elif isinstance(step, _wanted.Rest):
            found.rests.append(step.said)
        elif isinstance(step, _wanted.File):
            try:
                stream, parts = step.open(), []
                while part := stream.read(1 << 16):
                    parts.append(part)
                found.files[step.name] = b"".join(parts)
            except OSError as error:
                found.failed[step.name] = str(error)
    return found


def walked_bytes(folder: Path, content: bytes) -> Walked:
    """The same for an image of this content."""
    path = folder / "disk.img"
    path.write_bytes(content)
    return walked(path)
