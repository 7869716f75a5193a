"""`run` answers even where it is ended from outside while it connects to Ray or leaves it, as Ray does when a server dies."""

import json
import os
import signal
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

import pytest

from ingest_ray.last_words import Words, guarded, left
from ingest_ray.service.collect import collect
from tests.service.lab import Lab

pytestmark = pytest.mark.cluster


def run_ended(lab: Lab, *options: str, step: str = "ray:before-connect") -> "subprocess.CompletedProcess[str]":
    command = [sys.executable, "-m", "ingest_ray.cli", "run", "shop", "numbers-1x1000", *options]
    environment = os.environ | {"INGEST_FAILPOINT": step}
    said = lab.folder / "stderr"  # no pipe: Ray's servers have it, too, and live on for some seconds
    with said.open("w") as err:
        done = subprocess.run(
            command,
            cwd=lab.folder,
            env=environment,
            stdout=subprocess.PIPE,
            stderr=err,
            text=True,
            timeout=60,
            check=False,
        )
    done.stderr = said.read_text()
    return done


@pytest.fixture
def lab(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Lab:
    for name in ("INGEST_HOME", "INGEST_SECRET_KEY"):
        monkeypatch.delenv(name, raising=False)
    lab = Lab(tmp_path)
    lab.document["ray"] = {"inline_below": 0}
    lab.apply()
    collect(lab.place, "shop")
    return lab


@pytest.mark.parametrize("step", ["ray:before-connect", "ray:before-leave"])
def test_a_run_that_is_ended_while_it_connects_to_ray_or_leaves_it_has_a_document_with_a_code(
    lab: Lab, step: str
) -> None:
    done = run_ended(lab, "--json", step=step)
    assert done.returncode == -signal.SIGKILL
    error = json.loads(done.stdout)["error"]
    assert (error["code"], error["hint"]) == ("E_CLUSTER_UNAVAILABLE", "to go on: ingest-ray run shop numbers-1x1000")


def test_for_a_person_it_is_a_line_of_text(lab: Lab) -> None:
    done = run_ended(lab)
    assert (
        "while it connected to ray or left it, as when a server of ray dies meanwhile [E_CLUSTER_UNAVAILABLE]"
        in done.stderr
    )
    assert done.stdout == ""


@pytest.mark.parametrize("error", [None, ValueError, KeyboardInterrupt])
def test_who_leaves_by_itself_is_not_spoken_for(tmp_path: Path, error: type[BaseException] | None) -> None:
    with (tmp_path / "out").open("w") as out, left(Words("gone", out)):
        with suppress(ValueError, KeyboardInterrupt), guarded():
            if error is not None:
                raise error
    assert (tmp_path / "out").read_text() == ""
