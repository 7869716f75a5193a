"""Keeps Arrow from importing pandas, where it is installed, before anybody uses it.

Arrow imports pandas for its first scalar or array, to see whether a value is a series: 0.15 s of CPU and 35 MiB in every process, for values that
are none. It looks once, and again where a call needs pandas: so it is shown that there is none, and shown pandas as soon as any code
imports it (`pyarrow/pandas-shim.pxi`).
"""

import importlib.util
import sys
from contextlib import suppress
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec
from typing import Any


class _Refused(MetaPathFinder):
    def find_spec(self, name: str, path: Any, target: Any = None) -> ModuleSpec | None:
        if name == "pandas":
            raise ImportError("pandas is not used yet")
        return None


class _Shown(MetaPathFinder):
    """Lets pandas be imported, and then has Arrow look again: from then on a series is to Arrow what it always was."""

    def find_spec(self, name: str, path: Any, target: Any = None) -> ModuleSpec | None:
        if name != "pandas":
            return None
        sys.meta_path.remove(self)
        spec = importlib.util.find_spec(name)
        if spec is None or spec.loader is None:
            return None
        execute = spec.loader.exec_module

        def exec_module(module: Any) -> None:
            execute(module)
            _look_again()

        spec.loader.exec_module = exec_module  # type: ignore[method-assign]
        return spec


def leave_out_pandas() -> None:
    """Imports Arrow. Does nothing where pandas is imported already; the second call does nothing, too."""
    import pyarrow as pa

    if "pandas" in sys.modules or any(isinstance(finder, _Shown) for finder in sys.meta_path):
        return
    refused = _Refused()
    sys.meta_path.insert(0, refused)
    try:
        pa.scalar(None)
    finally:
        sys.meta_path.remove(refused)
    sys.meta_path.insert(0, _Shown())


def _look_again() -> None:
    from pyarrow import lib

    with suppress(ImportError, AttributeError):  # a pandas that is too old for Arrow, which then does without
        _ = lib._pandas_api.pd
