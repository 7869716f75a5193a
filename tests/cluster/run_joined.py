"""Runs one order in a process that joins a Ray that runs already, whose workers get this process's fail point.

`python -m tests.cluster.run_joined ADDRESS ORDER`
"""

import logging
import os
import runpy
import sys

import ray

if __name__ == "__main__":
    _, address, *arguments = sys.argv
    env = {name: value for name, value in os.environ.items() if name.startswith("INGEST_FAILPOINT")}
    ray.init(address=address, runtime_env={"env_vars": env}, log_to_driver=False, logging_level=logging.ERROR)
    sys.argv = ["tests.run.run_process", *arguments]
    runpy.run_module("tests.run.run_process", run_name="__main__")
