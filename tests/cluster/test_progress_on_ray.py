"""Readers on Ray report their rows while they read."""

import json
import socket
import time
from dataclasses import asdict
from pathlib import Path

import pytest

from ingest_ray.engine.open_slices import OpenSlice
from ingest_ray.executors.ray.reported_rows import DatagramInbox
from tests.progress.test_progress import CRAWL, check_progress, run_until_rows_are_shown
from tests.run.installation import Installation

pytestmark = [pytest.mark.cluster, pytest.mark.usefixtures("cluster")]


def test_rows_of_a_slice_are_shown_while_it_is_read_on_ray(tmp_path: Path) -> None:
    check_progress(*run_until_rows_are_shown(Installation(tmp_path, source=CRAWL, inline_below=0)))


def test_rows_that_come_without_the_token_or_garbled_are_not_shown() -> None:
    part = OpenSlice("s1", 1, 20, 10)
    inbox = DatagramInbox()
    try:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as stranger:
            for wrong in (b"", b"{", b"[]", b"7", b'{"token": 1}', json.dumps({"token": "0", **asdict(part)}).encode()):
                stranger.sendto(wrong, ("127.0.0.1", inbox.channel.port))
            odd = {"token": inbox.channel.token, **asdict(part), "more": 1}
            stranger.sendto(json.dumps(odd).encode(), ("127.0.0.1", inbox.channel.port))
        inbox.channel.send(part)
        found: list[OpenSlice] = []
        deadline = time.monotonic() + 60
        while not found and time.monotonic() < deadline:
            found += inbox.take()
        assert found == [part]
        assert list(inbox.take()) == []
    finally:
        inbox.close()
