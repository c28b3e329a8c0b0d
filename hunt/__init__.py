"""Offline forensic hunting in Windows event logs. From Python: `case = hunt.open("logs")`, see `hunt.api`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from hunt.api import OpenCase, open

__all__ = ["OpenCase", "__version__", "open"]
__version__ = "0.1.0"

# A wheel holds parsers and queries inside the package; in a checkout they lie at the top of the tree, beside hunt/.
if not (Path(__file__).parent / "parsers").is_dir():
    __path__.append(str(Path(__file__).parent.parent))


def __getattr__(name: str) -> object:
    """`open` and `OpenCase`, imported once they are asked for: `hunt --help` must not wait for Polars."""
    if name in ("OpenCase", "open"):
        from hunt import api

        return getattr(api, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
