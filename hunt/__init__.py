"""Offline forensic hunting in Windows event logs."""

from pathlib import Path

__version__ = "0.1.0"

# A wheel holds parsers and queries inside the package; in a checkout they lie at the top of the tree, beside hunt/.
if not (Path(__file__).parent / "parsers").is_dir():
    __path__.append(str(Path(__file__).parent.parent))
