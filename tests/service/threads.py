"""A launcher that runs units in a thread of this process: tests of the layers above launchers save 2 s a run with it."""

import threading
from contextlib import suppress

from ingest_ray.sdk.errors import IngestError
from ingest_ray.sdk.types import RunState
from ingest_ray.service.installation import Installation
from ingest_ray.service.launching.lifecycle import WithinStart, execute_run, open_run, read_run_state, request_stop
from ingest_ray.service.runs.admission import RunRequest


class ThreadLauncher:
    def start(self, installation: Installation, request: RunRequest, within: WithinStart = lambda _: None) -> str:
        run_id = open_run(installation, request, within=within)
        self.restart(installation, run_id)
        return run_id

    def restart(self, installation: Installation, run_id: str) -> None:
        threading.Thread(target=self._run, args=(installation, run_id)).start()

    def pause(self, installation: Installation, run_id: str, requested_by: str | None) -> None:
        request_stop(installation, run_id, requested_by)

    def state(self, installation: Installation, run_id: str) -> RunState:
        return read_run_state(installation, run_id)

    def _run(self, installation: Installation, run_id: str) -> None:
        with suppress(IngestError):  # it is in the record
            execute_run(installation, run_id)


launcher = ThreadLauncher()
