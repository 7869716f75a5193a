"""Declares functions that run as machine code, and calls them.

A module of such functions has only plain Python functions over arrays and numbers; it imports nothing of Numba. Its code is loaded
when the first of them is called: from the user's cache, or compiled and stored there.
"""

import ctypes
import re
import sys
from collections.abc import Callable
from threading import Lock
from typing import Any

import numpy as np

from ingest_ray.machine_code.compiled_object import Source
from ingest_ray.machine_code.stored_code import load_code

_ARGUMENT = re.compile(r"(uint8|int16|int32|int64)(\[(?:::1|:, ::1)\])?")
_SIGNATURE = re.compile(r"(int64|void)\((.*)\)\Z")
_LOADING = Lock()


class MachineCode:
    """The functions of one module."""

    def __init__(self, module: str) -> None:
        self.module = module
        self.inner_functions: dict[str, Callable[..., Any]] = {}
        self.functions: dict[str, MachineFunction] = {}
        self._addresses: dict[str, int] | None = None

    def inner(self, function: Callable[..., Any]) -> Callable[..., Any]:
        """Declares a function that only others of the module call."""
        self.inner_functions[function.__name__] = function
        return function

    def exported(self, signature: str) -> Callable[[Callable[..., Any]], "MachineFunction"]:
        """`signature` as Numba writes it: `int64` or `void`, of contiguous arrays of one or two dimensions and of `int64`."""

        def declare(function: Callable[..., Any]) -> MachineFunction:
            declared = MachineFunction(self, function, signature)
            self.functions[function.__name__] = declared
            return declared

        return declare

    def source(self) -> Source:
        exported = {name: (declared.python, declared.signature) for name, declared in self.functions.items()}
        return Source(sys.modules[self.module], self.inner_functions, exported)

    def address(self, name: str) -> int:
        """Loads the code at the first call."""
        with _LOADING:
            if self._addresses is None:
                self._addresses = load_code(self.source())
            return self._addresses[name]


class MachineFunction:
    """Called as the Python function is; the interpreter's lock is free meanwhile. `python` is that function."""

    def __init__(self, code: MachineCode, function: Callable[..., Any], signature: str) -> None:
        self.python = function
        self.signature = signature
        self._code = code
        form = _SIGNATURE.fullmatch(signature)
        arguments = _ARGUMENT.findall(form[2]) if form else []
        if form is None or ", ".join(kind + shape for kind, shape in arguments) != form[2]:
            raise TypeError(f"{function.__name__}: '{signature}' is no signature of machine code")
        self._arguments = [(np.dtype(kind), shape.count(":, ") + 1 if shape else 0) for kind, shape in arguments]
        self._call: Any = None

    def __call__(self, *values: Any) -> int:
        """Raises `TypeError` where an argument is not of the declared kind: machine code would read other memory."""
        call = self._call or self._load()
        if len(values) != len(self._arguments):
            raise TypeError(f"{self.python.__name__}: {len(values)} arguments")
        flat: list[int] = []
        for value, (kind, dimensions) in zip(values, self._arguments, strict=True):
            flat += self._flat(value, kind, dimensions) if dimensions else (value,)
        return self._result(call, flat)

    def bound(self, *arrays: Any) -> Callable[[int], int]:
        """The function over these arrays, of its only number: for many calls, of which each would look at the arrays again. Not for
        several threads at once. Raises `TypeError` as a call does."""
        call = self._call or self._load()
        if len(arrays) != len(self._arguments) - 1 or all(dimensions for _, dimensions in self._arguments):
            raise TypeError(f"{self.python.__name__}: {len(arrays)} arrays")
        rest = list(arrays)
        flat: list[int] = []
        position = -1
        for kind, dimensions in self._arguments:
            if not dimensions:
                position = len(flat)
            flat += self._flat(rest.pop(0), kind, dimensions) if dimensions else (0,)

        def call_bound(number: int) -> int:
            assert arrays  # they live as long as this function
            flat[position] = number
            return self._result(call, flat)

        return call_bound

    def _flat(self, value: Any, kind: Any, dimensions: int) -> tuple[int, ...]:
        if value.dtype != kind or value.ndim != dimensions or not value.flags.c_contiguous:
            raise TypeError(f"{self.python.__name__}: an array of {value.dtype} with {value.ndim} dimensions")
        at = value.__array_interface__["data"][0]
        return (0, 0, value.size, kind.itemsize, at, *value.shape, *value.strides)

    def _result(self, call: Any, flat: list[int]) -> int:
        result = ctypes.c_int64(0)
        if call(ctypes.byref(result), None, *flat):
            raise RuntimeError(f"{self.python.__name__} raised an error in machine code")
        return result.value

    def _load(self) -> Any:
        """Numba's convention: where the result goes, where an error would go, then each argument; an array is its owner and its
        parent (none), the number and size of its items, their address, shape and strides
        (https://numba.readthedocs.io/en/stable/developer/numba-runtime.html, `numba/core/callconv.py`, `numba/core/datamodel`)."""
        kinds: list[Any] = [ctypes.c_void_p, ctypes.c_void_p]
        for _, dimensions in self._arguments:
            number = ctypes.c_int64
            array = [ctypes.c_void_p, ctypes.c_void_p, number, number, ctypes.c_void_p, *[number] * (2 * dimensions)]
            kinds += array if dimensions else [number]
        self._call = ctypes.CFUNCTYPE(ctypes.c_int32, *kinds)(self._code.address(self.python.__name__))
        return self._call
