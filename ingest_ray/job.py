"""The process of one run: `python -m ingest_ray.job`, which is told the settings and the run's id on standard input.

SIGTERM or SIGINT: the commit under way is finished, and the run is paused; once more: it stops at once. Exit code 0: the run
has its end in its record.
"""

import signal
import sys
from types import FrameType

from ingest_ray import logs
from ingest_ray.errors import IngestError
from ingest_ray.service.installation import Installation
from ingest_ray.service.launching.children import Job
from ingest_ray.service.launching.steps import carry_on


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
    job = Job.model_validate_json(sys.stdin.buffer.read())
    try:
        carry_on(Installation(job.settings), job.run_id, stopping=lambda: stop.is_wanted)
    except IngestError as error:
        print(f"error: {logs.scrub(error.message)} [{error.code}]", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
