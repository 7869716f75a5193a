"""Gives tables to Ray Data, block by block."""

from collections.abc import Iterable
from typing import Any

import pyarrow as pa
import ray


def is_initialized() -> bool:
    return bool(ray.is_initialized())


def dataset_of(blocks: Iterable[pa.Table]) -> Any:
    """A `ray.data.Dataset`: https://docs.ray.io/en/latest/data/api/doc/ray.data.from_arrow_refs.html"""
    import ray.data

    references: list[Any] = [ray.put(block) for block in blocks]
    return ray.data.from_arrow_refs(references)
