"""The table of a unit, and the stages of a run.

A unit's table has the unit's id as its name, with `_` for every character but letters, digits and `_`: `public.orders` becomes
`public_orders`. A name that is too long keeps its beginning and gets a hash; one that begins like this sink's own tables gets a `t` in
front. Two units of one name are refused when the second one is opened.
"""

import hashlib
import re
import uuid

from ingest_ray.sdk.types import Target
from ingest_ray.sinks.databases.database import STAGE

NAME_BYTES = 60  # PostgreSQL cuts at 63 bytes, MySQL at 64 characters


def table_of(target: Target) -> str:
    name = re.sub(r"[^\w]|[^\u0000-\uffff]", "_", target.unit_id)  # MySQL's names end at U+FFFF
    if name.lower().startswith("_ingest"):
        name = f"t{name}"
    content = name.encode()
    if len(content) <= NAME_BYTES:
        return name
    kept = content[: NAME_BYTES - 9].decode(errors="ignore")
    return f"{kept}_{_hash(target.unit_id)}"


def stage_of(target: Target) -> str:
    return f"{stages_of_run(target)}{uuid.uuid4().hex[:12]}"


def stages_of_run(target: Target) -> str:
    return f"{stages_of_unit(target)}{_hash(target.run_id)}_"


def stages_of_unit(target: Target) -> str:
    return f"{STAGE}{_hash(target.app_id)}_"


def _hash(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:8]
