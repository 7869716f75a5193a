"""Whether sources keep logs that no unit reads: they grow until a disk is full."""

from ingest_ray.sdk.errors import IngestError
from ingest_ray.service.installation import Installation
from ingest_ray.service.runs.kept_logs import endpoints_with_logs, kept_logs
from ingest_ray.service.upkeep.checks.found import Found


def check_kept_logs(installation: Installation) -> Found:
    named: set[str] = set()
    for endpoint in endpoints_with_logs(installation):
        try:
            logs = kept_logs(installation, endpoint)
        except IngestError as error:
            message = f"endpoint '{endpoint.endpoint_id}': its logs cannot be listed: {error.message} [{error.code}]"
            yield "warning", message, error.hint
            continue
        for log in logs:
            if log.reason is None or log.name in named:
                continue
            named.add(log.name)
            size = "" if log.retained_bytes is None else f" {log.retained_bytes / 1_000_000:.0f} MB of"
            yield (
                "warning",
                f"endpoint '{endpoint.endpoint_id}': the source keeps{size} its log for '{log.name}': {log.reason}",
                log.remedy,
            )
