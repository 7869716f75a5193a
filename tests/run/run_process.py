"""Runs one order from a file, or several one after the other, in a process of its own that a test may kill."""

import sys
from pathlib import Path

from ingest_ray.engine.run_order import RunOrder
from ingest_ray.run import launch, reconcile_unit

if __name__ == "__main__":
    order = RunOrder.model_validate_json(Path(sys.argv[1]).read_text())
    if sys.argv[2:3] == ["and"]:
        orders = [order, *(RunOrder.model_validate_json(Path(name).read_text()) for name in sys.argv[3:])]
        for summary in launch(orders, lambda _: None, lambda: False):
            print(summary.model_dump_json())
    elif sys.argv[2:] == ["reconcile"]:
        print(reconcile_unit(order).model_dump_json())
    else:
        print(launch([order], lambda _: None, lambda: False)[0].model_dump_json())
