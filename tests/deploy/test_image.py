"""The image's steps: by a builder where there is one, else the same commands in clean folders."""

import json
import os
import re
import shutil
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

import pytest

from tests.deploy.vendor_schemas import ROOT

DOCKERFILE = ROOT / "deploy/Dockerfile"
SECRET = "MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDE="  # 32 bytes, for this test only


def has_builder() -> bool:
    docker = shutil.which("docker")
    return docker is not None and subprocess.run([docker, "info"], capture_output=True, timeout=60).returncode == 0


def copied() -> list[str]:
    """What the image takes of the repository."""
    lines = re.findall(r"^COPY (.+) \S+$", DOCKERFILE.read_text(), re.MULTILINE)
    return [name for line in lines for name in line.split()]


def test_the_image_copies_what_the_ignore_file_lets_through() -> None:
    kept = re.findall(r"^!(.+)$", (ROOT / "deploy/Dockerfile.dockerignore").read_text(), re.MULTILINE)
    assert sorted(copied()) == sorted(kept)
    assert all((ROOT / name).exists() for name in kept)


def test_the_image_runs_as_nobody_special_and_has_every_extra() -> None:
    text = DOCKERFILE.read_text()
    assert re.search(r"^USER 10001:10001$", text, re.MULTILINE)
    assert "[all]" in text
    assert text.index("USER 10001") < text.index("ENTRYPOINT")


@pytest.mark.faults
@pytest.mark.timeout(1200)
def test_the_image_is_built_and_serves(tmp_path: Path) -> None:
    if has_builder():
        tag = f"ingest-ray:test-{os.getpid()}"
        subprocess.run(["docker", "build", "-q", "-f", DOCKERFILE, "-t", tag, "."], cwd=ROOT, check=True, timeout=1100)
        version = subprocess.run(["docker", "run", "--rm", tag, "version"], capture_output=True, text=True, timeout=120)
        assert version.returncode == 0, version.stderr
        return
    source, wheels = tmp_path / "source", tmp_path / "wheels"
    source.mkdir()
    for name in copied():
        path = ROOT / name
        (shutil.copytree if path.is_dir() else shutil.copy)(path, source / name)
    clean = {"PATH": os.environ["PATH"], "HOME": str(tmp_path), "RAY_AUTH_MODE": "token"}
    clean |= {name: value for name, value in os.environ.items() if name.startswith("PIP_")}
    pip = [sys.executable, "-m", "pip"]
    step = [*pip, "wheel", "-q", "--no-cache-dir", "--no-deps", "--wheel-dir", str(wheels), "."]
    subprocess.run(step, cwd=source, env=clean, check=True, timeout=300)
    subprocess.run([sys.executable, "-m", "venv", tmp_path / "image"], env=clean, check=True, timeout=120)
    (wheel,) = wheels.glob("*.whl")
    ray = re.findall(r"^ARG RAY_VERSION=(\S+)$", DOCKERFILE.read_text(), re.MULTILINE)
    step = [str(tmp_path / "image/bin/pip"), "install", "-q", f"ray[default]=={ray[0]}", f"{wheel}[all]"]
    subprocess.run(step, env=clean, check=True, timeout=900)
    serve_and_look(tmp_path, clean | {"INGEST_SECRET_KEY": SECRET, "INGEST_HOME": str(tmp_path / "home")})


def serve_and_look(folder: Path, environment: dict[str, str]) -> None:
    (folder / "ingest.yaml").write_text("endpoints: []\n")
    command = [str(folder / "image/bin/ingest-ray")]
    subprocess.run([*command, "apply", "ingest.yaml"], cwd=folder, env=environment, check=True, timeout=120)
    log = folder / "serve.log"
    with log.open("w") as out:
        server = subprocess.Popen(
            [*command, "serve", "--config", "ingest.yaml", "--port", "0", "--log-format", "json"],
            cwd=folder,
            env=environment,
            stdout=out,
            stderr=subprocess.STDOUT,
        )
    try:
        deadline = time.monotonic() + 120
        while not (found := re.search(r"http://127\.0\.0\.1:\d+", log.read_text())):
            assert server.poll() is None, log.read_text()
            assert time.monotonic() < deadline, log.read_text()
            time.sleep(0.2)
        with urllib.request.urlopen(f"{found.group()}/readyz", timeout=60) as answer:
            assert json.load(answer)
    finally:
        server.terminate()
        server.wait(60)
