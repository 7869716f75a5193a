"""The mutation that compares a unit with its sink."""

import asyncio
import logging
from weakref import WeakKeyDictionary

import strawberry
from strawberry import ID

from ingest_ray.engine.run_order import RunOrder
from ingest_ray.graphql.ingestion_types import IngestionActionResult, IngestionState
from ingest_ray.graphql.request_context import RequestInfo, call_as_admin
from ingest_ray.run import VerifyOptions
from ingest_ray.sdk.errors import IngestError
from ingest_ray.service.installation import Installation
from ingest_ray.service.runs import verification

log = logging.getLogger(__name__)

MOST_AT_ONCE = 2  # each has up to half a gigabyte of memory, in the server's own process
_PLACES: "WeakKeyDictionary[asyncio.AbstractEventLoop, asyncio.Semaphore]" = WeakKeyDictionary()
_UNDER_WAY: set["asyncio.Task[None]"] = set()  # the event loop keeps only weak references


@strawberry.type
class ComparisonMutations:
    @strawberry.mutation
    async def verify_ingestion_unit(
        self,
        info: RequestInfo,
        endpoint_id: ID,
        unit_id: ID,
        rows: bool = False,
        repair: bool = False,
        allow_deletes: bool = False,
    ) -> IngestionActionResult:
        """Compares all rows of a unit with its sink, in the background; with `rows` their values, with `repair` lost rows are read again.

        The result is a run of task `verify`, with counts in its `facts`; it is there when the comparison has ended. A server compares
        two units at once; others wait. A server that ends breaks comparisons off: the next one of the unit goes on after its last block.
        """
        installation = info.context.installation
        (order,) = await call_as_admin(
            info, verification.admit_comparison, installation, str(endpoint_id), [str(unit_id)]
        )
        options = VerifyOptions(with_values=rows, repair=repair, allow_deletes=allow_deletes, limit=0)
        requested_by = (await info.context.current_principal()).name
        task = asyncio.create_task(_verify(installation, order, options, requested_by))
        _UNDER_WAY.add(task)
        task.add_done_callback(_UNDER_WAY.discard)
        return IngestionActionResult(ok=True, run_id=order.run_id, state=IngestionState.RUNNING, message=None)


async def _verify(installation: Installation, order: RunOrder, options: VerifyOptions, requested_by: str) -> None:
    try:
        async with _PLACES.setdefault(asyncio.get_running_loop(), asyncio.Semaphore(MOST_AT_ONCE)):
            await asyncio.to_thread(verification.verify_admitted, installation, order, options, requested_by)
    except IngestError as error:  # the record has the error
        log.warning("comparison %s failed: %s [%s]", order.run_id, error.message, error.code)
