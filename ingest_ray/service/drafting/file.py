"""Writes the file of a draft, after reading it back as `apply` would."""

import os
import tempfile
from pathlib import Path

from ingest_ray.config import load_config
from ingest_ray.sdk.types import Model
from ingest_ray.service.drafting.draft import DraftRequest, DraftUnit, draft
from ingest_ray.service.drafting.text import text_of


class WrittenDraft(Model):
    """`variables`: of the environment, which must be set before `apply`."""

    file: str
    endpoint_id: str
    sink_id: str
    units: tuple[DraftUnit, ...] = ()
    warnings: tuple[str, ...] = ()
    variables: tuple[str, ...] = ()


def write_draft(request: DraftRequest, file: Path) -> WrittenDraft:
    """Relative addresses are relative to this folder; in the file they are relative to the file's. Raises as `draft`."""
    made = draft(request, Path.cwd())
    folder = file.absolute().parent
    text = text_of(made, folder, file.name)
    descriptor, scratch = tempfile.mkstemp(dir=folder, prefix=f".{file.name}.", suffix=".yaml")
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8") as out:
            out.write(text)
        load_config(Path(scratch))
        os.chmod(scratch, 0o644)
        os.replace(scratch, file)
    except BaseException:
        Path(scratch).unlink(missing_ok=True)
        raise
    return WrittenDraft(
        file=str(file),
        endpoint_id=made.source.endpoint_id,
        sink_id=made.sink.endpoint_id,
        units=made.units,
        warnings=made.warnings,
        variables=made.variables,
    )
