"""Text from data as it may be shown: characters that terminals and pages act on are replaced."""

from __future__ import annotations

import re

_CONTROL = re.compile(  # also marks of direction, and halves of surrogate pairs
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u200e\u200f\u202a-\u202e\u2066-\u2069\ud800-\udfff]"
)
_NOT_XML = re.compile("[^\t\n\r\x20-\x7e\xa0-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def escaped(text: str) -> str:
    r"""Return text for a terminal or log, control characters as escapes such as \x1b.

    Tabs and line feeds stay. What turns the direction of writing is escaped too, and so are
    halves of surrogate pairs, which cannot be encoded.

    >>> escaped("a\x1b[31mb")
    'a\\x1b[31mb'
    """
    return _CONTROL.sub(lambda found: found[0].encode("unicode_escape").decode(), text)


def for_xml(text: str) -> str:
    r"""Return text with characters that XML and HTML do not allow shown by pictures or U+FFFD.

    >>> for_xml("a\x0bb")
    'a␋b'
    """
    return _NOT_XML.sub(lambda found: _PICTURES.get(ord(found[0]), "\ufffd"), text)


_PICTURES = {code: chr(0x2400 + code) for code in range(0x20)} | {0x7F: "\u2421"}
