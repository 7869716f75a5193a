"""Bodies that decode to more than is allowed, that are encoded twice, or that end too early."""

import gzip
import json
import tracemalloc
import zlib

import pytest

from ingest_ray.http.decompression import BodyFault, decoded
from ingest_ray.sdk.errors import SourceError
from tests.http.scripted_site import Scripted, serving
from tests.http.test_client import asked

BOMB = gzip.compress(b"0" * 30_000_000)
DOCUMENT = json.dumps({"rows": list(range(5_000))}).encode()
MIB = 1024 * 1024


def test_a_small_answer_that_decodes_to_a_large_one_is_refused_while_it_grows() -> None:
    site = Scripted(200, BOMB, {"content-encoding": "gzip"})
    tracemalloc.start()
    try:
        with serving(site) as server, pytest.raises(SourceError, match="larger than 4194304 bytes"):
            asked(server, most_body_bytes=4 * MIB)
        assert tracemalloc.get_traced_memory()[1] < 12 * MIB
    finally:
        tracemalloc.stop()
    assert len(server.seen) == 1


@pytest.mark.parametrize("codings", ["gzip, gzip", "gzip,gzip , gzip", "deflate, gzip"])
def test_codings_on_top_of_each_other_are_refused(codings: str) -> None:
    body = gzip.compress(gzip.compress(DOCUMENT))
    with serving(Scripted(200, body, {"content-encoding": codings})) as server:
        with pytest.raises(SourceError, match=r"encoded . times"):
            asked(server)
    assert len(server.seen) == 1


@pytest.mark.parametrize(
    ("coding", "body"),
    [
        ("gzip", gzip.compress(DOCUMENT)),
        ("x-gzip", gzip.compress(DOCUMENT)),
        ("GZIP", gzip.compress(DOCUMENT[:100]) + gzip.compress(DOCUMENT[100:])),
        ("gzip", gzip.compress(DOCUMENT) + b"\0\0\0"),
        ("deflate", zlib.compress(DOCUMENT)),
        ("deflate", zlib.compress(DOCUMENT)[2:-4]),
        ("identity", DOCUMENT),
        ("", DOCUMENT),
    ],
)
@pytest.mark.parametrize("step", [1, 7, 100_000])
def test_what_a_server_may_send_is_decoded(coding: str, body: bytes, step: int) -> None:
    if coding == "deflate" and step == 1:
        step = 2  # its header has two bytes
    parts = [body[n : n + step] for n in range(0, len(body), step)]
    assert decoded(iter(parts), coding, MIB) == DOCUMENT


@pytest.mark.parametrize("coding", ["gzip", "deflate", "br", "nonsense"])
def test_a_body_that_is_not_what_its_header_says_or_ends_too_early_is_no_answer(coding: str) -> None:
    whole = gzip.compress(DOCUMENT) if coding == "gzip" else zlib.compress(DOCUMENT)
    for body in (whole[: len(whole) // 2], b"\xffnot compressed at all"):
        with pytest.raises(BodyFault):
            decoded(iter([body]), coding, MIB)


def test_one_large_part_is_decoded_in_steps() -> None:
    tracemalloc.start()
    try:
        with pytest.raises(BodyFault, match="larger"):
            decoded(iter([BOMB]), "gzip", 2 * MIB)
        assert tracemalloc.get_traced_memory()[1] < 8 * MIB
    finally:
        tracemalloc.stop()
