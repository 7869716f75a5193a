"""The tree of errors: drawn completely, coded as published, and whole after crossing a process border."""

import inspect
import pickle
import re
from pathlib import Path

import pytest

from ingest_ray.sdk import errors
from ingest_ray.sdk.errors import IngestError, SliceTooLarge

CONTRACT = Path(__file__).parents[2] / ".." / "shared" / "contracts" / "errors.md"
ADDED = {  # additive: no published code says them
    "E_CLUSTER_UNAVAILABLE",
    "E_DELETES_REFUSED",
    "E_LOG_GONE",
    "E_LOG_RETAINED",
    "E_RATE_LIMITED",
    "E_RUN_INTERRUPTED",
    "E_VERSION_CONFLICT",
    "E_STATE_BEHIND_SINK",
    "E_SINK_BEHIND_STATE",
    "E_HISTORY_TOO_SHORT",
    "E_ROWS_DIFFER",
    "E_TARGET_CHANGED",
    "E_SECRET_UNAVAILABLE",
}
CLASSES = [value for value in vars(errors).values() if inspect.isclass(value) and issubclass(value, IngestError)]


def test_the_drawing_names_every_class_and_no_other() -> None:
    drawn = set(re.findall(r"^\s*[*x+] (\w+)", errors.__doc__ or "", re.MULTILINE))
    assert drawn == {kind.__name__ for kind in CLASSES}


@pytest.mark.skipif(not CONTRACT.exists(), reason="the published list of codes is not beside the project")
def test_every_code_is_published() -> None:
    published = set(re.findall(r"^\| (E_\w+)", CONTRACT.read_text(), re.MULTILINE))
    assert {kind.code for kind in CLASSES} - ADDED <= published


@pytest.mark.parametrize("kind", CLASSES, ids=lambda kind: kind.__name__)
def test_needs_no_argument_and_survives_pickling(kind: type[IngestError]) -> None:
    kind()
    error = kind("orders: gone")
    error.hint = "look again"
    error.retry_after_s = 3.0
    again = pickle.loads(pickle.dumps(error))
    assert type(again) is kind
    assert (str(again), again.hint, again.retry_after_s) == ("orders: gone", "look again", 3.0)


def test_what_a_reader_saw_survives_pickling() -> None:
    again = pickle.loads(pickle.dumps(SliceTooLarge("x", position=(7, "a"), bytes_per_row=9.5)))
    assert (again.position, again.bytes_per_row) == ((7, "a"), 9.5)
