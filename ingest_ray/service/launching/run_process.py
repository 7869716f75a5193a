"""The process of one run: `python -m ingest_ray.service.launching.run_process`. It reads its run from `job_spec`.

SIGTERM or SIGINT finishes the commit under way and pauses the run; a second signal stops it at once. Exit code 0: the run
record has the end of the run; the result is nowhere else.
"""

import sys

from ingest_ray import logs, telemetry
from ingest_ray.process.stop_signals import StopSignals
from ingest_ray.sdk import tracing
from ingest_ray.sdk.errors import IngestError
from ingest_ray.service.installation import Installation
from ingest_ray.service.launching.job_spec import JobSpec, read_job_spec
from ingest_ray.service.launching.lifecycle import await_earlier_process, execute_run


def main() -> int:
    logs.configure("json", "info")
    stop = StopSignals()
    stop.install()
    return run_job(read_job_spec(), stop)


def run_job(job: JobSpec, stop: StopSignals) -> int:
    """Returns the exit code."""
    installation = Installation(job.settings)
    telemetry.configure_worker(job.settings)
    try:
        with tracing.attached(job.trace):
            await_earlier_process(installation, job.run_id)
            execute_run(installation, job.run_id, is_stopping=stop.is_requested)
    except IngestError as error:
        print(f"error: {logs.scrub(error.message)} [{error.code}]", file=sys.stderr)
        return 1
    finally:
        telemetry.shutdown()
    return 0


if __name__ == "__main__":
    sys.exit(main())
