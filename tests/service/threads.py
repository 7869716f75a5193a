"""A launcher that runs units in a thread of this process: for tests of what stands above launchers, without 2 s a run."""

import threading
from contextlib import suppress

from ingest_ray.sdk.errors import IngestError
from ingest_ray.sdk.types import RunState
from ingest_ray.service.installation import Installation
from ingest_ray.service.launching.lifecycle import begin, carry_on, request_stop, state_of
from ingest_ray.service.runs.admission import RunRequest


class Threads:
    def start(self, place: Installation, request: RunRequest) -> str:
        run_id = begin(place, request)
        threading.Thread(target=self._run, args=(place, run_id)).start()
        return run_id

    def pause(self, place: Installation, run_id: str, requested_by: str | None) -> None:
        request_stop(place, run_id, requested_by)

    def state(self, place: Installation, run_id: str) -> RunState:
        return state_of(place, run_id)

    def _run(self, place: Installation, run_id: str) -> None:
        with suppress(IngestError):  # it is in the record
            carry_on(place, run_id)


launcher = Threads()
