"""Decodes the body of a response while it arrives, under a limit of the decoded bytes: a small body may decode to gigabytes.

One content coding is accepted, gzip or deflate: codings on top of each other multiply, and no server needs them.
https://www.rfc-editor.org/rfc/rfc9110#name-content-encoding
"""

import zlib
from collections.abc import Iterator

ACCEPTED = "gzip, deflate"
_GZIP, _ZLIB, _RAW = 16 + zlib.MAX_WBITS, zlib.MAX_WBITS, -zlib.MAX_WBITS
_STEP_BYTES = 1024 * 1024  # decoded at once


class BodyFault(ValueError):
    """The body is not what its headers say, or too large. `is_final`: asking again has the same result."""

    def __init__(self, message: str, *, is_final: bool = False) -> None:
        super().__init__(message)
        self.is_final = is_final


def decoded(parts: Iterator[bytes], content_encoding: str, most_bytes: int) -> bytes:
    """The whole body. Raises `BodyFault`."""
    codings = [name.strip().lower() for name in content_encoding.split(",")]
    codings = [name for name in codings if name not in ("", "identity")]
    if len(codings) > 1:
        raise BodyFault(f"the body is encoded {len(codings)} times", is_final=True)
    pieces: list[bytes] = []
    size = 0
    for piece in _pieces(parts, codings[0]) if codings else parts:
        size += len(piece)
        if size > most_bytes:
            raise BodyFault(f"the answer is larger than {most_bytes} bytes", is_final=True)
        pieces.append(piece)
    return b"".join(pieces)


def _pieces(parts: Iterator[bytes], coding: str) -> Iterator[bytes]:
    if coding not in ("gzip", "x-gzip", "deflate"):
        raise BodyFault(f"the body's encoding '{coding[:20]}' was not asked for", is_final=True)
    is_gzip, decoder, has_begun = coding != "deflate", None, False
    for part in parts:
        while part:
            if decoder is None and has_begun and not (is_gzip and part.startswith(b"\x1f")):
                return  # padding after the end
            if decoder is None:
                decoder = zlib.decompressobj(_GZIP if is_gzip else _ZLIB if _has_zlib_header(part) else _RAW)
            try:
                piece, has_begun = decoder.decompress(part, _STEP_BYTES), True
            except zlib.error as error:
                raise BodyFault(f"the body is not {coding}: {error}") from None
            if piece:
                yield piece
            part = decoder.unconsumed_tail
            if decoder.eof:
                part, decoder = decoder.unused_data, None  # gzip may have several members
    if decoder is not None and has_begun:
        while piece := decoder.decompress(decoder.unconsumed_tail, _STEP_BYTES):
            yield piece
        if not decoder.eof:
            raise BodyFault("the body ends before its compressed data does")


def _has_zlib_header(part: bytes) -> bool:
    """Some servers send deflate without the header that it should have."""
    return len(part) < 2 or (part[0] & 0x0F == 8 and (part[0] << 8 | part[1]) % 31 == 0)
