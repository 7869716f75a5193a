"""Names of a unit's table and of the stages of its runs.

A unit's table has the name that was chosen for it (`Target.table`), else the unit's id as its name, with `_` for every character except letters, digits and `_`: `public.orders` becomes
`public_orders`. A name that is too long is cut and ends with a hash; one that begins like this sink's own tables gets the prefix
`t`. Two units with the same table name are refused when the second one is opened.
"""

import hashlib
import re
import uuid

from ingest_ray.sdk.types import Target
from ingest_ray.sinks.databases.database import STAGE

NAME_BYTES = 60  # PostgreSQL cuts at 63 bytes, MySQL at 64 characters


def unit_table_name(target: Target) -> str:
    text = target.table or target.unit_id
    name = re.sub(r"[^\w]|[^\u0000-\uffff]", "_", text)  # MySQL's names end at U+FFFF
    if name.lower().startswith("_ingest"):
        name = f"t{name}"
    content = name.encode()
    if len(content) <= NAME_BYTES:
        return name
    beginning = content[: NAME_BYTES - 9].decode(errors="ignore")
    return f"{beginning}_{_hash(text)}"


def new_stage_name(target: Target) -> str:
    return f"{run_stage_prefix(target)}{uuid.uuid4().hex[:12]}"


def run_stage_prefix(target: Target) -> str:
    return f"{unit_stage_prefix(target)}{_hash(target.run_id)}_"


def unit_stage_prefix(target: Target) -> str:
    return f"{STAGE}{_hash(target.app_id)}_"


def _hash(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:8]
