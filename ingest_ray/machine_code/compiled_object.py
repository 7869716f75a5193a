"""Compiles the functions of a module with Numba to an object file, for any processor of the machine's architecture.

Not for the very processor: a home folder may be shared by machines, and no instruction that only some have made these loops faster.
"""

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import FunctionType, ModuleType
from typing import Any


@dataclass(frozen=True)
class Source:
    """The functions of a module: by name those that only others of it call, and the exported ones with their signatures."""

    module: ModuleType
    inner: Mapping[str, Callable[..., Any]]
    exported: Mapping[str, tuple[Callable[..., Any], str]]


def compile_object(source: Source) -> tuple[bytes, dict[str, str]]:
    """The object file, and the symbol of each exported function."""
    import llvmlite.binding as llvm  # initialised by Numba
    from numba import njit

    logging.getLogger("numba").setLevel(logging.WARNING)  # its DEBUG writes every instruction
    options: dict[str, Any] = {
        "nogil": True,
        "no_cpython_wrapper": True,
        "no_cfunc_wrapper": True,
        "error_model": "numpy",
    }
    options["_nrt"] = False  # nothing is allocated, so nothing is counted
    namespace = dict(vars(source.module))
    for name, function in source.inner.items():
        namespace[name] = njit(**options, forceinline=True)(FunctionType(function.__code__, namespace, name))
    exported = {
        name: njit(**options)(FunctionType(function.__code__, namespace, name))
        for name, (function, _) in source.exported.items()
    }
    whole, symbols = None, {}
    for name, kernel in exported.items():
        kernel.compile(source.exported[name][1])
        (compiled,) = kernel.overloads.values()
        symbols[name] = compiled.fndesc.llvm_func_name
        part = llvm.parse_assembly(compiled.library.get_llvm_str())
        if whole is None:
            whole = part
        else:
            whole.link_in(part)
    target = llvm.Target.from_default_triple()
    machine = target.create_target_machine(cpu=_any_processor(target.name), opt=3, reloc="pic", codemodel="small")
    content: bytes = machine.emit_object(whole)
    return content, symbols


def _any_processor(architecture: str) -> str:
    return "x86-64" if architecture == "x86-64" else "generic"
