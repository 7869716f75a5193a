"""Ctrl-C at any moment of a command ends it with a line and without a traceback."""

import signal
import subprocess
import sys
from pathlib import Path

import pytest

WAITING = """
import signal, sys, time
signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell starts what runs in its background with the signal ignored
class Slow:
    def find_spec(self, name, path=None, target=None):
        if name == "ingest_ray.cli.command_run":
            print("importing", flush=True)
            time.sleep(60)
sys.meta_path.insert(0, Slow())
sys.argv = ["ingest-ray", *sys.argv[1:]]
from ingest_ray.cli.main import main
main()
"""


@pytest.mark.slow
@pytest.mark.parametrize(("arguments", "stream"), [(["status"], "stderr"), (["status", "--json"], "stdout")])
def test_an_interrupt_while_commands_are_imported_has_no_traceback(
    tmp_path: Path, arguments: list[str], stream: str
) -> None:
    command = [sys.executable, "-c", WAITING, *arguments]
    with subprocess.Popen(command, cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "importing\n"
        process.send_signal(signal.SIGINT)
        out, err = process.communicate()
    assert process.returncode == 1
    assert "Traceback" not in err
    assert "E_RUN_INTERRUPTED" in (out if stream == "stdout" else err)
