"""Compares the unit of an order from a file, in a process of its own that a test may kill."""

import sys
from pathlib import Path

from ingest_ray.engine.run_order import RunOrder
from ingest_ray.run import VerifyOptions, verify_unit

if __name__ == "__main__":
    order = RunOrder.model_validate_json(Path(sys.argv[1]).read_text())
    options = VerifyOptions(with_values=True, repair="repair" in sys.argv[2:])
    print(verify_unit(order, options).model_dump_json())
