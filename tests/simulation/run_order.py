"""The one unit of the simulation and its run order, as production code needs them."""

from ingest_ray.engine.run_order import RunOrder
from ingest_ray.sdk.types import Dataset, Endpoint, Policy, RunMode, UnitConfig, UnitSpec
from ingest_ray.settings import Settings

UNIT = "unit"
SPEC = UnitSpec(
    endpoint=Endpoint(endpoint_id="e", template="t"),
    dataset=Dataset(endpoint_id="e", name="u", columns=()),
    config=UnitConfig(
        endpoint_id="e", unit_id="u", sink_id="s", run_mode=RunMode.INCREMENTAL, policy=Policy(cursor="at")
    ),
)
ORDER = RunOrder(
    run_id="-",
    settings=Settings(home="-", state_url="sqlite://"),
    spec=SPEC,
    sink=Endpoint(endpoint_id="s", template="simulated"),
)
