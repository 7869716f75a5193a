"""Log lines carry the ids of their run, unit and slice, and never a secret."""

import io
import json
import logging
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from ingest_ray import logs

SECRET = "correct-horse-for-the-log"


@pytest.fixture
def lines() -> Iterator[io.StringIO]:
    stream = io.StringIO()
    level = logging.getLogger().level
    handler = logs.configure("json", "debug", stream)
    yield stream
    logging.getLogger().removeHandler(handler)
    logging.getLogger().setLevel(level)


def test_a_json_line_has_message_level_context_and_fields(lines: io.StringIO) -> None:
    with logs.context(run="r1", unit="orders"), logs.context(slice="s", attempt=2):
        logging.getLogger("ingest_ray.x").info("read %d rows", 7, extra={"bytes": 12})
    logging.getLogger("x").warning("after")
    first, second = map(json.loads, lines.getvalue().splitlines())
    assert {name: first[name] for name in ("message", "level", "run", "unit", "slice", "attempt", "bytes")} == {
        "message": "read 7 rows",
        "level": "info",
        "run": "r1",
        "unit": "orders",
        "slice": "s",
        "attempt": "2",
        "bytes": 12,
    }
    assert "run" not in second


def test_threads_have_their_own_context(lines: io.StringIO) -> None:
    def work(n: int) -> None:
        with logs.context(slice=n):
            logging.getLogger("x").info("%d", n)

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(work, range(20)))
    assert all(line["slice"] == line["message"] for line in map(json.loads, lines.getvalue().splitlines()))


def test_a_secret_is_in_no_message_argument_field_or_traceback(lines: io.StringIO) -> None:
    logs.hide(SECRET)
    log = logging.getLogger("x")
    log.info("password is %s", SECRET, extra={"url": {"a": [f"//u:{SECRET}@h"]}})
    try:
        raise ValueError(f"could not use {SECRET}")
    except ValueError:
        log.exception("failed")
    assert SECRET not in lines.getvalue()
    assert lines.getvalue().count("***") >= 3


def test_a_wrong_number_of_arguments_does_not_lose_the_line(lines: io.StringIO) -> None:
    logging.getLogger("x").info("%s and %s", *(1,))
    assert "%s and %s" in lines.getvalue()


def test_short_secrets_are_hidden_as_words_only() -> None:
    logs.hide("ab")
    assert logs.scrub("ab, about, (ab)") == "***, about, (***)"


def test_a_text_line_is_one_line_with_its_ids() -> None:
    stream = io.StringIO()
    handler = logs.configure("text", "info", stream)
    with logs.context(run="r1"):
        logging.getLogger("x").info("hello")
    logging.getLogger().removeHandler(handler)
    assert stream.getvalue().endswith("info    hello  [run=r1]\n")


@pytest.mark.timeout(60)  # it takes 30 ms; where all secrets are compiled into one pattern again, half an hour
def test_thousands_of_secrets_are_hidden_as_fast_as_a_few() -> None:
    tokens = [f"iray_{number:08}_{number * 7919 % 10_007}" for number in range(3_000)]
    for token in tokens:
        logs.hide(token)
    assert logs.scrub(" ".join(tokens)) == " ".join(["***"] * len(tokens))


def test_of_secrets_with_one_beginning_the_longest_is_hidden_whole() -> None:
    for secret in ("plum", "plum-tree", "plum-tree-in-bloom", "tree-in"):
        logs.hide(secret)
    assert (
        logs.scrub("plum plum-tree-in-blossom plum-tree-in-bloom aplumb tree-in") == "*** ***-in-blossom *** a***b ***"
    )
