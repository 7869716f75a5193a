"""Compresses bodies as Atlassian's edge does: https://github.com/MrRefactoring/jira.js/issues/418 shows br and gzip.

Brotli is written as uncompressed blocks, which every decoder reads, so that no library is needed: https://www.rfc-editor.org/rfc/rfc7932#section-9.2
"""

import gzip
from collections.abc import Iterable

CODINGS = ("br", "gzip")
"""What the edge prefers, first."""
_BLOCK = 65_536
_END = b"\x03"  # ISLAST and ISLASTEMPTY


def coding_of(headers: Iterable[tuple[bytes, bytes]]) -> str:
    """The coding of an answer to a request with these headers; empty: none."""
    accepted = b",".join(value for name, value in headers if name == b"accept-encoding").decode("latin-1")
    names = {part.partition(";")[0].strip().lower() for part in accepted.split(",") if "q=0" not in part.split(";")}
    return next((coding for coding in CODINGS if coding in names), "")


def compressed(body: bytes, coding: str) -> bytes:
    return brotli(body) if coding == "br" else gzip.compress(body, 1, mtime=0)


def brotli(body: bytes) -> bytes:
    parts: list[bytes] = []
    for start in range(0, len(body), _BLOCK):
        block = body[start : start + _BLOCK]
        # From the lowest bit: the window (1 bit, first block only), not the last (1), 4 nibbles (2), length - 1 (16), uncompressed (1).
        bits = ((len(block) - 1) << 3) | (1 << 19)
        parts += [(bits << (start == 0)).to_bytes(3, "little"), block]
    return b"".join(parts) + (_END if body else b"\x06")
