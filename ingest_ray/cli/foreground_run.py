"""`run` at a terminal: progress on stderr, and Ctrl-C that finishes the commit under way."""

import getpass
import os
import shlex
import signal
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from types import FrameType
from typing import Literal

from ingest_ray.cli.output import frame
from ingest_ray.cli.progress import watch
from ingest_ray.process.exit_notice import left
from ingest_ray.sdk.errors import ClusterUnavailable
from ingest_ray.sdk.refs import UnitRef
from ingest_ray.service.installation import Installation
from ingest_ray.service.runs import execution, quarantine
from ingest_ray.service.runs import remap as remapping
from ingest_ray.service.runs.admission import RunOptions
from ingest_ray.service.runs.execution import RunReport

ENDED_BY_RAY = "the run was ended while it connected to ray or left it, as when a server of ray dies meanwhile"


def run_options(lower: str | None, upper: str | None, reconcile: bool, allow_deletes: bool) -> RunOptions:
    task: Literal["ingest", "backfill"] = "ingest" if lower is None and upper is None else "backfill"
    return RunOptions(task=task, lower=lower, upper=upper, reconcile=reconcile, allow_deletes=allow_deletes)


def run(installation: Installation, endpoint_id: str, unit_ids: Sequence[str], options: RunOptions) -> RunReport:
    bounds = {"--from": options.lower, "--to": options.upper}
    arguments = [part for name, value in bounds.items() if value is not None for part in (name, value)]
    again = shlex.join(["ingest-ray", "run", endpoint_id, *unit_ids, *arguments])
    with _stop_on_signal(again) as stop, watch() as observe:
        return execution.run(
            installation,
            endpoint_id,
            unit_ids,
            options=options,
            requested_by=_person(),
            observe=observe,
            stopping=stop.is_wanted,
        )


def replay(installation: Installation, endpoint_id: str, unit_id: str | None) -> RunReport:
    again = shlex.join(["ingest-ray", "quarantine", "replay", endpoint_id, *([unit_id] if unit_id else [])])
    with _stop_on_signal(again) as stop, watch() as observe:
        return quarantine.replay(installation, endpoint_id, unit_id, observe=observe, stopping=stop.is_wanted)


def remap(installation: Installation, unit: UnitRef) -> RunReport:
    again = shlex.join(["ingest-ray", "remap", unit.endpoint_id, unit.unit_id])
    with _stop_on_signal(again) as stop, watch() as observe:
        return remapping.remap(installation, unit, observe=observe, stopping=stop.is_wanted)


def _person() -> str | None:
    """Who sits at this terminal, for the history."""
    try:
        return getpass.getuser()
    except (OSError, KeyError):
        return None


class _Stop:
    def __init__(self, again: str) -> None:
        self._again = again
        self._wanted = False

    def is_wanted(self) -> bool:
        return self._wanted

    def on_signal(self, number: int, _: FrameType | None) -> None:
        if self._wanted:
            raise KeyboardInterrupt
        self._wanted = True
        text = f"\nstopping: the commit under way is finished first (once more: stop now)\nto go on: {self._again}\n"
        os.write(sys.stderr.fileno(), text.encode())  # the only way to print that is safe inside a signal


@contextmanager
def _stop_on_signal(again: str) -> Iterator[_Stop]:
    stop = _Stop(again)
    before = {number: signal.signal(number, stop.on_signal) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        with left(frame().refusal(ClusterUnavailable.code, ENDED_BY_RAY, f"to go on: {again}")):
            yield stop
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
