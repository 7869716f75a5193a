"""How long tests with drawn examples search: shortly in `make test`, long in `make test-faults`, which sets `INGEST_SEARCHES=long`.

A short search draws the same examples every time; a long one draws new ones, to find what earlier ones missed.
"""

import os

IS_LONG = os.environ.get("INGEST_SEARCHES") == "long"


def examples(short: int, long: int) -> int:
    return long if IS_LONG else short
