"""JSON objects as `json_values` finds them, also those that stand in pages: what an API answers is one object that
holds a list of them, beside tokens and links for the next page.

Microsoft Graph's lists are called `value`, those of Google's Reports API `items`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from .json_values import Broken, Objects, Value
from .text_files import TextFile

_SCALAR = rb'(?:"(?:[^"\\\x00-\x1f]++|\\.)*+"|-?[0-9][0-9.eE+-]{0,30}|true|false|null)'
_MEMBER = rb'"[^"\\\x00-\x1f]{0,100}"\s{0,100}:\s{0,100}' + _SCALAR
# All that stands before the list and after it: names with texts and numbers. An object that has such a list and is none
# of these is looked at as others are.
_HEAD = re.compile(
    rb'\{\s{0,100}(?="(?:@odata|value|items|kind|etag|next))(?:'
    + _MEMBER
    + rb"\s{0,100},\s{0,100}){0,16}"
    + rb'"(?:value|items)"\s{0,100}:\s{0,100}(?=\[)'
)
_TAIL = re.compile(rb"(?:" + _MEMBER + rb"[\s,]{0,100}){0,16}+\}")
_WINDOW = 16_384  # bytes: what may stand before a list, or after it


def page_head(body: bytes) -> int:
    """How many bytes of a text that begins with a page stand before its list; 0: it is none."""
    found = _HEAD.match(body)
    return found.end() if found else 0


def values(text: TextFile, lines: bool = True) -> Iterator[Value | Broken]:
    """All objects from the place at which a file was opened, as `json_values.values`; those of pages one by one."""
    return iter(_Paged(text, lines))


class _Paged(Objects):
    inside = False  # a page

    def skip(self) -> bool:
        while super().skip():
            if self.text.data[self.at] not in (ord("{"), ord('"'), ord("}")):
                return True
            while len(self.text.data) - self.at < _WINDOW and not self.text.ended:
                self.more()
            pattern = _HEAD if self.text.data[self.at] == ord("{") else _TAIL
            found = pattern.match(self.text.data, self.at)
            if not found or (pattern is _TAIL and not self.inside):
                return True
            self.inside = pattern is _HEAD
            self.past(found.end())
        return False
