"""A small installation: one scripted endpoint that writes down every call that reaches it, one Delta lake."""

import json
from pathlib import Path
from typing import Any

import yaml

from ingest_ray.config import load_config
from ingest_ray.service.endpoints.apply import ApplyResult, apply
from ingest_ray.service.installation import Installation

ALL = {"endpoint": "shop", "unit": "*", "sink": "lake", "enabled": True}


class Workspace:
    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.file = folder / "ingest.yaml"
        self.journal = folder / "journal"
        self.source: dict[str, Any] = {"units": ["numbers-1x1000", "numbers-2x300"], "journal": str(self.journal)}
        self.document: dict[str, Any] = {
            "endpoints": [{"id": "shop", "template": "testing.scripted", "config": self.source}],
            "sinks": [{"id": "lake", "template": "lake.delta", "config": {"uri": "./lake"}}],
            "units": [dict(ALL)],
        }

    def write(self) -> Path:
        """Replaces the file in one step: another thread of a test may read it at any time."""
        written = self.file.with_suffix(".new")
        written.write_text(yaml.safe_dump(json.loads(json.dumps(self.document)), sort_keys=False))
        written.replace(self.file)
        return self.file

    def apply(self, *, dry_run: bool = False) -> ApplyResult:
        return apply(load_config(self.write()), dry_run=dry_run)

    @property
    def installation(self) -> Installation:
        return Installation(load_config(self.file).settings)

    def calls(self) -> list[str]:
        """The calls that reached the source since this was last read."""
        if not self.journal.exists():
            return []
        lines = self.journal.read_text().splitlines()
        self.journal.unlink()
        return lines

    def rows(self, unit: str, endpoint: str = "shop") -> int:
        from deltalake import DeltaTable

        return int(DeltaTable(self.folder / "lake" / endpoint / unit).to_pyarrow_table().num_rows)


def change_lines(applied: ApplyResult) -> list[str]:
    return [f"{change.action} {change.kind} {change.id}" for change in applied.changes if change.kind != "settings"]
