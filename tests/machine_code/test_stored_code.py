"""Machine code: compiled once per machine, loaded without Numba, never from a file that others may have written."""

import logging
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ingest_ray.machine_code import stored_code
from ingest_ray.machine_code.compiled_object import Source, compile_object
from ingest_ray.machine_code.elf_image import ElfImage, UnknownObject
from ingest_ray.machine_code.functions import MachineCode
from tests.machine_code import summing

USE = """
import sys
import numpy as np
from tests.machine_code import summing
assert summing.total(np.ones((2, 2), np.int64), np.zeros(9, np.uint8), 1) == 13
print("numba" in sys.modules, "llvmlite" in sys.modules)
"""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.delenv("NUMBA_CACHE_DIR", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path / "cache" / "ingest_ray" / "machine_code"


@pytest.fixture
def compilations(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What was compiled from now on."""
    found: list[str] = []

    def noted(source: Source) -> Any:
        found.append(source.module.__name__)
        return compile_object(source)

    monkeypatch.setattr(stored_code, "compile_object", noted)
    return found


def load() -> Any:
    """The example as a process that has not called it yet."""
    for function in summing.code.functions.values():
        function._call = None
    summing.code._addresses = None
    return summing


def works() -> bool:
    filled = np.zeros(40, np.uint8)
    numbers = np.arange(6, dtype=np.int64).reshape(2, 3)
    return load().total(numbers, filled, 5) == 50 and set(filled) == {7}


def start(folder: Path, code: str = USE) -> "subprocess.Popen[str]":
    environment = {**os.environ, "XDG_CACHE_HOME": str(folder.parent.parent)}
    return subprocess.Popen(
        [sys.executable, "-c", code], env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )


@pytest.mark.slow
def test_the_code_is_compiled_once_and_then_loaded_without_numba(folder: Path, compilations: list[str]) -> None:
    assert (works(), works()) == (True, True)
    assert compilations == [summing.__name__]
    (stored,) = folder.iterdir()
    assert (stored.stat().st_mode & 0o777, folder.stat().st_mode & 0o777) == (0o600, 0o700)
    process = start(folder)
    out, error = process.communicate(timeout=100)
    assert out == "False False\n", error


@pytest.mark.slow
def test_processes_that_compile_at_once_all_succeed(folder: Path) -> None:
    started = [start(folder) for _ in range(3)]
    for process in started:
        _, error = process.communicate(timeout=100)
        assert process.returncode == 0, error
    assert len(list(folder.iterdir())) == 1


def damage_content(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[-200] ^= 1
    path.write_bytes(content)


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:100])


def write_for_all(path: Path) -> None:
    path.chmod(0o666)


def write_for_all_in_the_folder(path: Path) -> None:
    path.parent.chmod(0o777)


def give_away(path: Path) -> None:
    if os.getuid() != 0:
        pytest.skip("only root can give a file to another user")
    os.chown(path, 12345, 12345)


def link(path: Path) -> None:
    other = path.with_name("other")
    path.rename(other)
    path.symlink_to(other)


def make_a_folder(path: Path) -> None:
    path.unlink()
    path.mkdir()


@pytest.mark.parametrize("change", [damage_content, cut, write_for_all, give_away, link])
def test_a_file_that_cannot_be_trusted_is_compiled_again_and_replaced(
    folder: Path, compilations: list[str], change: Callable[[Path], None]
) -> None:
    assert works()
    (stored,) = folder.iterdir()
    change(stored)
    assert (works(), works()) == (True, True)
    assert len(compilations) == 2
    assert (stored.is_symlink(), stored.stat().st_uid) == (False, os.getuid())


@pytest.mark.parametrize("change", [write_for_all_in_the_folder, make_a_folder])
def test_where_nothing_can_be_stored_safely_each_process_compiles_and_says_so(
    folder: Path, compilations: list[str], change: Callable[[Path], None], caplog: pytest.LogCaptureFixture
) -> None:
    assert works()
    (stored,) = folder.iterdir()
    change(stored)
    with caplog.at_level(logging.WARNING):
        assert (works(), works()) == (True, True)
    assert len(compilations) == 3
    assert caplog.text.count("compiled for this process only") == 2


def test_without_a_home_it_is_compiled_for_the_process(
    folder: Path, compilations: list[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    assert works()
    assert compilations == [summing.__name__]


def test_a_folder_named_for_numba_is_taken(folder: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("NUMBA_CACHE_DIR", str(tmp_path / "named"))
    assert works()
    assert len(list((tmp_path / "named" / f"ingest_ray-{os.getuid()}").iterdir())) == 1


def test_another_source_and_another_numba_have_another_file(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    changed = ModuleType(summing.__name__)
    changed.__file__ = str(tmp_path / "summing.py")
    source = Path(str(summing.__file__)).read_text()
    Path(changed.__file__).write_text(source.replace("FACTOR = 3", "FACTOR = 4"))
    names = {stored_code.file_name(summing), stored_code.file_name(changed)}
    monkeypatch.setattr(stored_code, "version", lambda package: f"{package} 99")
    assert len({*names, stored_code.file_name(summing)}) == 3


@pytest.fixture(scope="module")
def compiled() -> tuple[bytes, dict[str, str]]:
    return compile_object(summing.code.source())


@pytest.fixture(scope="module", params=["mapped here", "by LLVM"])
def example(request: pytest.FixtureRequest, compiled: tuple[bytes, dict[str, str]]) -> Iterator[Any]:
    content, symbols = compiled
    if request.param == "by LLVM":
        found = stored_code.addresses_by_llvm(content, symbols)
    else:
        if os.uname().machine != "x86_64" or sys.platform != "linux":
            pytest.skip("objects of x86-64 Linux only")
        found = stored_code.addresses_in(content, symbols)
    loaded = load()
    loaded.code._addresses = {name: found[symbol] for name, symbol in symbols.items()}
    yield loaded
    load()


@given(
    numbers=st.lists(st.integers(-(2**31), 2**31 - 1), max_size=40), size=st.integers(0, 100), added=st.integers(-9, 9)
)
def test_machine_code_does_what_the_python_function_does(
    example: Any, numbers: list[int], size: int, added: int
) -> None:
    matrix = np.array([numbers, numbers], np.int64)
    filled, also = np.zeros(size, np.uint8), np.zeros(size, np.uint8)
    assert example.total(matrix, filled, added) == example.total.python(matrix, also, added)
    assert filled.tolist() == also.tolist()
    short, narrow = np.zeros(len(numbers), np.int16), np.zeros(len(numbers), np.int16)
    example.narrow(np.array(numbers, np.int32), short)
    example.narrow.python(np.array(numbers, np.int32), narrow)
    assert short.tolist() == narrow.tolist()


def test_arguments_of_another_kind_are_refused_before_they_reach_machine_code(example: Any) -> None:
    wide, short = np.zeros(8, np.int32), np.zeros(8, np.int16)
    for arguments in ((wide.astype(np.int64), short), (wide[::2], short), (wide.reshape(2, 4), short), (wide,)):
        with pytest.raises(TypeError):
            example.narrow(*arguments)


def test_an_object_file_that_is_not_understood_is_left_to_llvm(compiled: tuple[bytes, dict[str, str]]) -> None:
    import llvmlite.binding as llvm

    llvm.initialize_native_target()
    llvm.initialize_native_asmprinter()
    machine = llvm.Target.from_default_triple().create_target_machine(reloc="pic", codemodel="small")
    for text in (
        "@v = global i64 5\ndefine i64 @f() {\n%r = load i64, ptr @v\nret i64 %r\n}",
        "declare i64 @getpid()\ndefine i64 @f() {\n%r = call i64 @getpid()\nret i64 %r\n}",
    ):
        content = machine.emit_object(llvm.parse_assembly(text))
        with pytest.raises(UnknownObject):
            ElfImage(content)
        assert stored_code.addresses_in(content, {"f": "f"})["f"]
    with pytest.raises(UnknownObject):
        ElfImage(b"\xcf\xfa\xed\xfe" + bytes(100))


def test_a_function_that_cannot_be_compiled_is_an_error() -> None:
    from numba.core.errors import NumbaError

    code = MachineCode(__name__)

    @code.exported("int64(int64)")
    def unknown(value):  # type: ignore[no-untyped-def]
        return value.no_such_thing

    with pytest.raises(NumbaError):
        compile_object(code.source())


def test_the_strategies_load_without_numba() -> None:
    code = "import sys, ingest_strategies.jdbc.mysql.dialect, ingest_strategies.jdbc.postgres.copy_rows; print('numba' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=100)
    assert done.stdout == "False\n", done.stderr


def test_a_function_over_arrays_that_stay_is_the_same_function() -> None:
    from ingest_strategies.jdbc.postgres import copy_kernel

    wire = np.frombuffer(b"d\0\0\0\7abcd\0\0\0\5x" + b"?" * 9, np.uint8)
    own, other = ((wire.copy(), np.zeros(copy_kernel.STATES, np.int64)) for _ in range(2))
    joined = copy_kernel.join_payloads.bound(*own)
    for end in (3, 8, 14):
        assert joined(end) == copy_kernel.join_payloads(other[0], end, other[1])
        assert [part.tolist() for part in own] == [part.tolist() for part in other]
    with pytest.raises(TypeError):
        copy_kernel.join_payloads.bound(own[0])
    with pytest.raises(TypeError):
        copy_kernel.join_payloads.bound(own[0], own[1].astype(np.int32))
