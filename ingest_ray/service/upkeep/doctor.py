"""Looks at an installation, and says what is wrong and what to do. Changes nothing, and reads no rows."""

import sys
import time
from collections.abc import Callable, Iterator

from ingest_ray import __version__, logs
from ingest_ray.sdk.errors import IngestError
from ingest_ray.sdk.types import Model
from ingest_ray.service.installation import Installation
from ingest_ray.service.upkeep.checks import (
    catalog_checks,
    file_checks,
    log_checks,
    package_checks,
    sink_checks,
    state_checks,
)
from ingest_ray.service.upkeep.checks.found import Found, Status


class Finding(Model):
    """`hint`: what to do."""

    check: str
    status: Status
    message: str
    hint: str | None = None


class Diagnosis(Model):
    version: str
    seconds: float
    findings: tuple[Finding, ...] = ()

    @property
    def is_healthy(self) -> bool:
        """Warnings are allowed."""
        return all(finding.status != "failed" for finding in self.findings)


Check = Callable[[Installation], Found]

CHECKS: dict[str, Check] = {
    "packages": package_checks.check_packages,
    "files": file_checks.check_files,
    "disk": file_checks.check_disk,
    "catalog": catalog_checks.check_catalog,
    "clock": catalog_checks.check_clock,
    "state store": catalog_checks.check_kv,
    "endpoints": catalog_checks.check_endpoints,
    "units": catalog_checks.check_units,
    "runs": catalog_checks.check_runs,
    "leases": state_checks.check_leases,
    "schedules": catalog_checks.check_schedules,
    "freshness": catalog_checks.check_freshness,
    "alerts": catalog_checks.check_alerts,
    "stores": file_checks.check_stores,
    "leftovers": file_checks.check_leftovers,
    "quarantine": file_checks.check_quarantine,
    "logs": state_checks.check_logs,
    "kept logs": log_checks.check_kept_logs,
    "sinks": sink_checks.check_sinks,
}
SLOW = ("stores", "logs", "kept logs", "sinks")  # these open connections to sources and sinks


def diagnose(installation: Installation, *, is_quick: bool = False) -> Diagnosis:
    """A check that cannot be made is a finding, and ends no other check."""
    began = time.monotonic()
    findings = [Finding(check="version", status="ok", message=_versions())]
    for name, check in CHECKS.items():
        if not (is_quick and name in SLOW):
            findings += _findings_of(name, check, installation)
    return Diagnosis(version=__version__, seconds=round(time.monotonic() - began, 3), findings=tuple(findings))


def _findings_of(name: str, check: Check, installation: Installation) -> Iterator[Finding]:
    try:
        found = list(check(installation))
    except IngestError as error:
        message = logs.scrub(f"{error.message} [{error.code}]")
        yield Finding(check=name, status="failed", message=message, hint=logs.scrub(error.hint) if error.hint else None)
        return
    except OSError as error:
        yield Finding(check=name, status="failed", message=logs.scrub(str(error)))
        return
    for status, message, hint in found or [("ok", "nothing to do", None)]:
        yield Finding(check=name, status=status, message=logs.scrub(message), hint=hint)


def _versions() -> str:
    return f"ingest-ray {__version__}, Python {sys.version.split()[0]}"
