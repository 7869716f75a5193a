"""The mutation that compares a unit with its sink."""

import strawberry
from strawberry import ID

from ingest_ray.graphql.ingestion_types import IngestionActionResult, IngestionState
from ingest_ray.graphql.request_context import RequestInfo, call_as_admin
from ingest_ray.run import VerifyOptions
from ingest_ray.sdk.refs import UnitRef
from ingest_ray.service.runs import verification


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

        It has a run of task `verify` from its begin on: `ingestionRunProgress` shows the step, the rows and the blocks of
        rows (as slices) that are compared; `facts` has the counts when it has ended. `pauseIngestion` stops it. A server compares two
        units at once; others wait. A server that ends breaks comparisons off: the next one of the unit goes on after its last block.
        """
        run_id = await call_as_admin(
            info,
            verification.start_comparison,
            info.context.installation,
            UnitRef(str(endpoint_id), str(unit_id)),
            VerifyOptions(with_values=rows, repair=repair, allow_deletes=allow_deletes, limit=0),
            (await info.context.current_principal()).name,
        )
        return IngestionActionResult(ok=True, run_id=run_id, state=IngestionState.RUNNING, message=None)
