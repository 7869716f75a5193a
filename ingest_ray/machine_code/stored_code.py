"""The user's cache of machine code: found, checked, compiled where it is missing, stored.

A file belongs to one state of one module's source, one version of Python, Numba and llvmlite, and one architecture: all of them are in its name.
It is executed, so it counts only where it and its folder belong to this user or to root and no other may write to them; every other
file is compiled again and replaced. Files are replaced whole, so processes that compile at once do not disturb each other.
"""

import hashlib
import json
import logging
import os
import stat
import sys
from contextlib import suppress
from importlib.metadata import version
from pathlib import Path
from types import ModuleType
from typing import Any

from ingest_ray.machine_code.compiled_object import Source, compile_object
from ingest_ray.machine_code.elf_image import ElfImage, UnknownObject

log = logging.getLogger(__name__)

HEAD = b"ingest_ray machine code 1\n"
_LOADED: list[Any] = []  # code stays in memory as long as the process


def load_code(source: Source) -> dict[str, int]:
    """The address of each exported function."""
    name = file_name(source.module)
    folder = cache_folder()
    stored = read_stored(folder / name) if folder is not None else None
    if stored is None:
        stored = compile_object(source)
        if folder is None or not store(folder / name, *stored):
            log.warning("%s: compiled for this process only: '%s' cannot be written", source.module.__name__, folder)
    content, symbols = stored
    addresses = addresses_in(content, symbols)
    return {function: addresses[symbol] for function, symbol in symbols.items()}


def cache_folder() -> Path | None:
    """$NUMBA_CACHE_DIR, else the user's cache."""
    named = os.environ.get("NUMBA_CACHE_DIR")
    if named:
        return Path(named) / f"ingest_ray-{os.getuid()}"
    cache = os.environ.get("XDG_CACHE_HOME") or "~/.cache"
    try:
        return Path(cache).expanduser() / "ingest_ray" / "machine_code"
    except RuntimeError:  # the user has no home
        return None


def file_name(module: ModuleType) -> str:
    assert module.__file__ is not None
    parts = [os.uname().machine, sys.platform, sys.version, version("numba"), version("llvmlite")]
    identity = "\0".join(parts).encode() + HEAD + Path(module.__file__).read_bytes()
    return f"{module.__name__.rpartition('.')[2]}-{hashlib.sha256(identity).hexdigest()[:24]}.code"


def read_stored(path: Path) -> tuple[bytes, dict[str, str]] | None:
    """The object file and its symbols; None: there is none, or none that may be used."""
    try:
        if not _is_safe(os.lstat(path.parent), stat.S_ISDIR):
            return None
        with open(os.open(path, os.O_RDONLY | os.O_NOFOLLOW), "rb") as file:
            if not _is_safe(os.fstat(file.fileno()), stat.S_ISREG):
                return None
            stored = file.read()
    except OSError:
        return None
    head, _, rest = stored.partition(b"\n")
    digest, _, rest = rest.partition(b"\n")
    if head + b"\n" != HEAD or hashlib.sha256(rest).hexdigest().encode() != digest:
        return None
    symbols, _, content = rest.partition(b"\n")
    return content, json.loads(symbols)


def _is_safe(found: os.stat_result, is_kind: Any) -> bool:
    """Whether only this user, or root, can have written it."""
    return is_kind(found.st_mode) and found.st_uid in (os.getuid(), 0) and not found.st_mode & 0o022


def store(path: Path, content: bytes, symbols: dict[str, str]) -> bool:
    """Writes the file and puts it in its place as a whole; False where that is not possible."""
    rest = json.dumps(symbols).encode() + b"\n" + content
    try:
        path.parent.parent.mkdir(parents=True, exist_ok=True)
        path.parent.mkdir(mode=0o700, exist_ok=True)
        if not _is_safe(os.lstat(path.parent), stat.S_ISDIR):
            return False
        name = path.with_name(f".new-{os.getpid()}-{os.urandom(4).hex()}")
        number = os.open(name, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
    except OSError:
        return False
    try:
        with open(number, "wb") as file:
            file.write(HEAD + hashlib.sha256(rest).hexdigest().encode() + b"\n" + rest)
        os.replace(name, path)
    except OSError:
        with suppress(OSError):
            os.unlink(name)
        return False
    return True


def addresses_in(content: bytes, symbols: dict[str, str]) -> dict[str, int]:
    """By symbol; from now on the code is in memory."""
    try:
        image = ElfImage(content)
        _LOADED.append(image)
        return image.addresses
    except (UnknownObject, OSError) as error:  # another architecture or system
        log.debug("machine code is loaded by LLVM: %s", error)
        return addresses_by_llvm(content, symbols)


def addresses_by_llvm(content: bytes, symbols: dict[str, str]) -> dict[str, int]:
    import llvmlite.binding as llvm

    llvm.initialize_native_target()
    llvm.initialize_native_asmprinter()
    machine = llvm.Target.from_default_triple().create_target_machine(jit=True)
    engine = llvm.create_mcjit_compiler(llvm.parse_assembly(""), machine)
    engine.add_object_file(llvm.ObjectFileRef.from_data(content))
    engine.finalize_object()
    _LOADED.append(engine)
    return {symbol: engine.get_function_address(symbol) for symbol in symbols.values()}
