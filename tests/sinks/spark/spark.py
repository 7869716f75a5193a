"""Apache Spark with Apache Iceberg's Java runtime: another reader and writer of the same tables, installed on first use into `.cache/`.

PyPI has no package of the runtime alone; `sagemaker-feature-store-pyspark` (Apache-2.0) has it, with its packages renamed.
"""

import fcntl
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

CACHE = Path(__file__).parents[3] / ".cache" / "spark"
PACKAGES = ("pyspark==3.5.7", "sagemaker-feature-store-pyspark==2.2.2")
SQLITE_JARS = ("/usr/share/java/sqlite-jdbc.jar",)  # Debian: libxerial-sqlite-jdbc-java
INSTALL_S = 900
RUN_S = 900


class Spark:
    """Statements in the catalog `ingest` of a warehouse."""

    def __init__(self, python: Path, jars: list[str]) -> None:
        self._python = python
        self._jars = jars

    def run(self, warehouse: Path, *statements: str) -> list[list[list[Any]]]:
        """The rows of each statement; what JSON has not is text."""
        script = Path(__file__).with_name("run_statements.py")
        command = [str(self._python), str(script), str(warehouse), ",".join(self._jars)]
        environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
        environment |= {"SPARK_LOCAL_IP": "127.0.0.1", "PYTHONDONTWRITEBYTECODE": "1"}
        done = subprocess.run(
            command, env=environment, input=json.dumps(statements), capture_output=True, text=True, timeout=RUN_S
        )
        assert done.returncode == 0, done.stderr[-4000:]
        answers: list[list[list[Any]]] = json.loads(done.stdout.splitlines()[-1])
        return answers


def find_spark() -> Spark:
    """Skips the test where Java, the driver of SQLite or the packages cannot be had."""
    drivers = [jar for jar in SQLITE_JARS if Path(jar).exists()]
    if shutil.which("java") is None or not drivers:
        pytest.skip("Spark needs Java, and its catalog Debian's libxerial-sqlite-jdbc-java: they are not installed")
    python = CACHE / "bin" / "python"
    CACHE.parent.mkdir(parents=True, exist_ok=True)
    with (CACHE.parent / "spark.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (CACHE / ".complete").exists():
            install()
    runtime = next(CACHE.glob("lib/python*/site-packages/feature_store_pyspark/jars/*-3.5.jar"))
    return Spark(python, [str(runtime), *drivers])


def install() -> None:
    shutil.rmtree(CACHE, ignore_errors=True)
    subprocess.run([sys.executable, "-m", "venv", str(CACHE)], check=True)
    # without what that package asks for: a Spark of any version, and a client of AWS
    pip = [str(CACHE / "bin" / "python"), "-m", "pip", "install", "--quiet", "--no-deps", *PACKAGES, "py4j==0.10.9.7"]
    done = subprocess.run(pip, capture_output=True, text=True, timeout=INSTALL_S)
    if done.returncode:
        pytest.skip(f"Spark cannot be installed: {done.stderr[-400:]}")
    (CACHE / ".complete").touch()
