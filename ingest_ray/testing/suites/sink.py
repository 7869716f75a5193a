"""The behaviour suite of every sink. A new sink runs it with one line:

class TestMine(SinkSuite): world = pytest.fixture(lambda tmp_path: MyWorld(tmp_path))
"""

from ingest_ray.testing.suites.sink_adoption import AdoptionTests
from ingest_ray.testing.suites.sink_columns import ColumnTests
from ingest_ray.testing.suites.sink_deletes import DeleteTests
from ingest_ray.testing.suites.sink_exactly_once import OnceTests
from ingest_ray.testing.suites.sink_harness import SCHEMA, Load, SinkWorld, piece, rows
from ingest_ray.testing.suites.sink_history import HistoryTests
from ingest_ray.testing.suites.sink_reads import ReadTests
from ingest_ray.testing.suites.sink_writes import WriteTests

__all__ = ["SCHEMA", "Load", "SinkSuite", "SinkWorld", "piece", "rows"]


class SinkSuite(WriteTests, OnceTests, DeleteTests, ColumnTests, ReadTests, HistoryTests, AdoptionTests):
    """Subclasses give a fixture `world`: a `SinkWorld` that is empty."""
