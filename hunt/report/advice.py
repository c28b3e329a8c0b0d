"""What a query's documentation says, paragraph by paragraph: why it matters, what looks alike, what to do next."""

from __future__ import annotations

import re
from collections.abc import Mapping

from hunt.report.texts import shown

# How the paragraphs of a documentation begin that a reader of findings needs, and what they are called here.
_LABELS = {
    "Next": "What to do next",
    "Why it matters": "Why it matters",
    "Looks alike, is harmless": "Looks alike, is harmless",
    "Looks alike": "Looks alike, is harmless",
    "Blind when": "Blind when",
    "How": "How it is found, and how surely",
    "See": "See",
    "Level": "Level",
    "Status": "Status",
    "Tags": "Tags",
    "Author": "Author",
    "Licence": "Licence",
    "Asks": "What it asks",
}
LABEL = re.compile(rf"^({'|'.join(map(re.escape, _LABELS))}):(?=[ \n])", re.MULTILINE)
ABOUT = "What it finds"
_ORDER = ("What to do next", ABOUT, *dict.fromkeys(label for label in _LABELS.values() if label != "What to do next"))


def paragraphs(doc: str) -> list[tuple[str, str]]:
    """(label, text) in the order in which a reader of a finding wants them; lines of a paragraph are joined."""
    parts = LABEL.split(doc.strip())
    found: Mapping[str, list[str]] = {label: [] for label in _ORDER}
    found[ABOUT].append(parts[0])
    for label, text in zip(parts[1::2], parts[2::2], strict=True):
        found[_LABELS[label]].append(text)
    said = ((label, " ".join(" ".join(texts).split())) for label, texts in found.items())
    return [(label, shown(text)) for label, text in said if text]
