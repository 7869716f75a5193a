"""Dagster: a partition of an asset is a part of a unit that is read again; of several, one run reads all.

The rows of a partition are those whose cursor is in it. A backfill moves no watermark, so a schedule of the unit itself
(`dagster_assets.py`) goes on beside it. https://docs.dagster.io/guides/build/partitions-and-backfills/partitioning-assets,
https://docs.dagster.io/guides/build/partitions-and-backfills/backfilling-data
"""

from collections.abc import Sequence
from datetime import datetime
from itertools import pairwise
from typing import Any

import dagster as dg

import ingest_ray
from examples.orchestrators.dagster_assets import key_of, result_of
from ingest_ray.service.runs.admission import RunOptions


def partitioned_asset(
    project: ingest_ray.Project, endpoint: str, unit: str, partitions: dg.PartitionsDefinition[Any]
) -> dg.AssetsDefinition:
    """`partitions`: of time (daily, hourly, monthly, ...), or of keys by `ranges_of`. The unit upserts, and follows a cursor."""

    @dg.asset(
        key=key_of(endpoint, unit).with_prefix("again"),
        partitions_def=partitions,
        backfill_policy=dg.BackfillPolicy.single_run(),
        description=f"{endpoint}:{unit}, read again",
    )
    def land_again(context: dg.AssetExecutionContext) -> Any:
        lower, upper = bounds_of(context)
        report = project.run(endpoint, unit, options=RunOptions(task="backfill", lower=lower, upper=upper))
        return result_of(report, {"from": lower, "to": upper})

    return land_again


def ranges_of(bounds: Sequence[int]) -> dg.StaticPartitionsDefinition:
    """Partitions of a cursor that counts: `[0, 1000, 2000]` has `0..1000` and `1000..2000`."""
    return dg.StaticPartitionsDefinition([f"{lower}..{upper}" for lower, upper in pairwise(bounds)])


def bounds_of(context: dg.AssetExecutionContext) -> tuple[str, str]:
    """`[lower, upper)` of all partitions of the run, as `ingest-ray run --from --to` takes them. Those of one run follow each other."""
    if isinstance(context.assets_def.partitions_def, dg.TimeWindowPartitionsDefinition):
        window = context.partition_time_window
        return _text_of(window.start), _text_of(window.end)
    keys = context.partition_keys
    return keys[0].partition("..")[0], keys[-1].partition("..")[2]


def _text_of(time: datetime) -> str:
    return time.isoformat()
