"""Ids of a site are text: whatever they are, the bytes of an attachment stay in the endpoint's folder."""

from pathlib import Path
from typing import Any

import pytest

from ingest_ray.http.responses import Part
from ingest_strategies.atlassian.attachment_files import AttachmentFile, AttachmentStore


class OneFile:
    def part(self, path: str, first: int, last: int, media_type: str | None = None) -> Part:
        return Part(b"bytes"[first : last + 1], 5)


@pytest.mark.parametrize(
    "id_", ["../../../escape", "/etc/escape", "..", "a/../../escape", "~", "", "a\nb", "C:\\escape"]
)
def test_an_attachment_leads_nowhere_else(tmp_path: Path, id_: str) -> None:
    root = tmp_path / "deep" / "inside" / "objects"
    http: Any = OneFile()
    stored = AttachmentStore(str(root), 1_000, http, lambda: None).store(
        AttachmentFile(id_, 1, 5, "text/plain", "/download")
    )
    assert stored.fault is None
    files = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert len(files) == 1
    assert root in files[0].parents
    assert files[0].read_bytes() == b"bytes"
