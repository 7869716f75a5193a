"""The process of one run: `python -m ingest_ray.service.launching.run_process`. `service.launching.job` says how it is told which.

SIGTERM or SIGINT: the commit under way is finished, and the run is paused; once more: it stops at once. Exit code 0: the run
has its end in its record, and that is the only place where its result is.
"""

import signal
import sys
from types import FrameType

from ingest_ray import logs
from ingest_ray.sdk.errors import IngestError
from ingest_ray.service.installation import Installation
from ingest_ray.service.launching.job_spec import read_job_spec
from ingest_ray.service.launching.lifecycle import await_earlier_process, execute_run


class Stop:
    is_wanted = False

    def on_signal(self, _number: int, _frame: FrameType | None) -> None:
        if self.is_wanted:
            raise KeyboardInterrupt
        self.is_wanted = True


def main() -> int:
    logs.configure("json", "info")
    stop = Stop()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, stop.on_signal)
    job = read_job_spec()
    installation = Installation(job.settings)
    try:
        await_earlier_process(installation, job.run_id)
        execute_run(installation, job.run_id, stopping=lambda: stop.is_wanted)
    except IngestError as error:
        print(f"error: {logs.scrub(error.message)} [{error.code}]", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
