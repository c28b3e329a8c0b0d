"""Evidence is hostile text: what would act on a terminal, in a spreadsheet or on the reading eye is made visible."""

from __future__ import annotations

import json
import re
import unicodedata

# Control and format characters (ESC, newlines, bidi overrides, zero-width ones), surrogates, private use, line and
# paragraph separators: nothing of these is shown as it is.
_HIDDEN = frozenset({"Cc", "Cf", "Cs", "Co", "Zl", "Zp"})
HIDDEN_PATTERN = r"[\p{Cc}\p{Cf}\p{Co}\p{Zl}\p{Zp}]"
_NAMES = {"\n": "\\n", "\r": "\\r", "\t": "\\t"}


def safe(text: str) -> str:
    """One line of text that changes nothing but the place it is printed at: hidden characters become \\x1b, \\u202e."""
    if text.isascii() and text.isprintable():
        return text
    return "".join(visible(c) if unicodedata.category(c) in _HIDDEN else c for c in text)


def visible(character: str) -> str:
    """One hidden character as an escape."""
    code = ord(character)
    if character in _NAMES:
        return _NAMES[character]
    return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"


def exact_json(value: object) -> str:
    """JSON that reads back exactly and yet prints harmlessly: hidden characters stand as \\uNNNN."""
    text = json.dumps(value, ensure_ascii=False)
    return text if text.isascii() and text.isprintable() else escape_json(text)


_BEYOND = re.compile("[^\x00-~]")  # all that `safe` may hide; in JSON, control characters are escaped already


def escape_json(text: str) -> str:
    """The same for text that is JSON already (in it, such characters can only stand inside strings)."""
    return _BEYOND.sub(lambda found: _escaped(found[0]), text)


def _escaped(character: str) -> str:
    return json.dumps(character)[1:-1] if unicodedata.category(character) in _HIDDEN else character
