"""Decodes answers, and parts of answers, that may be other than the vendor's description says.

JSON can escape half of a character (an unpaired surrogate, `\\ud800`), which no text in UTF-8 can hold. One such text must not cost the
whole answer: its escape is marked, the answer is decoded, and a row that has the mark in a text column goes to quarantine. JSON columns keep the text as it came.

The types of answers have `gc=False`: what JSON describes has no cycles, and the collector would visit every object of it several times.
"""

import re
from collections.abc import Callable
from threading import Event
from typing import Any, TypeVar

import msgspec

from ingest_ray.http.errors import BrokenAnswer

T = TypeVar("T")


def decoder(kind: type[T]) -> Callable[[bytes], T]:
    """Raises `BrokenAnswer` for text that is not of the kind, also when a part of an answer is decoded later."""
    decode = msgspec.json.Decoder(kind).decode

    def decode_answer(body: bytes) -> T:
        try:
            return decode(body)
        except (ValueError, RecursionError) as error:
            text = bytes(body)  # it may be a part of an answer, a `Raw`
            if b"\\u" in text and (marked := mark_half_characters(text)) != text:
                return decode_answer(marked)
            name = getattr(kind, "__name__", str(kind))
            raise BrokenAnswer(f"an answer is no {name}: {error}") from None

    return decode_answer


MARKED = "\ufdd0"
MARK = b"\\ufdd0"  # a noncharacter, which no text has: https://www.unicode.org/faq/private_use.html
_marks_were_made = Event()
"""In this process: to search each object for marks costs as much as to decode it."""
_MARKED_HALF = re.compile(MARKED + "u[dD][89a-fA-F][0-9a-fA-F]{2}")
_MARKED_ESCAPE = re.compile(rb"\\(?:ufdd0(u[dD][89a-fA-F][0-9a-fA-F]{2})|.)", re.DOTALL)
_ESCAPE = re.compile(
    rb"\\(?:u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}|(u[dD][89a-fA-F][0-9a-fA-F]{2})|.)", re.DOTALL
)


def mark_half_characters(body: bytes) -> bytes:
    """`\\ud800` alone -> `\\ufdd0ud800`; pairs and all other escapes stay."""
    marked = _ESCAPE.sub(lambda match: MARK + match[1] if match[1] else match[0], body)
    if marked != body:
        _marks_were_made.set()
    return marked


def may_have_marks() -> bool:
    return _marks_were_made.is_set()


def stored_value(value: Any) -> Any:
    """A column's value of an object that has marks: JSON text as it came. Raises ValueError for a text with a mark."""
    if isinstance(value, bytes | memoryview):
        return unmarked(bytes(value))
    if may_have_marks() and any(map(has_mark, value if isinstance(value, list) else (value,))):
        raise ValueError("the text has half of a character (an unpaired surrogate)")
    return value


def has_mark(value: Any) -> bool:
    """The noncharacter alone is none: text may come with it."""
    return isinstance(value, str) and MARKED in value and _MARKED_HALF.search(value) is not None


def unmarked(body: bytes) -> bytes:
    """The text as it came."""
    if not may_have_marks() or MARK not in body:
        return body
    return _MARKED_ESCAPE.sub(lambda match: b"\\" + match[1] if match[1] else match[0], body)


def attempted(decode: Callable[[Any], T], body: bytes, otherwise: Any = None) -> T | Any:
    """The decoded part, or `otherwise` where it is odd: for parts that only help to decide, and never make a row."""
    try:
        return decode(body)
    except BrokenAnswer:
        return otherwise
