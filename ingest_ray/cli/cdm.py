"""`ingest-ray provision`, `remap` and `sinks`: the common data model."""

from typing import Annotated

import typer

from ingest_ray.cli import lazy
from ingest_ray.cli.options import ConfigOption, EndpointArg, JsonOption, LogFormat, LogLevel, UnitArg
from ingest_ray.cli.output import FAILED, FINE, frame
from ingest_ray.sdk.refs import UnitRef


def provision(
    sink: Annotated[str, typer.Argument(metavar="SINK", help="A sink of ingest.yaml.", show_default=False)],
    model: Annotated[
        list[str], typer.Argument(metavar="MODEL...", help="CDM models, such as cdm.work.item.", show_default=False)
    ],
    config: ConfigOption = None,
    as_json: JsonOption = False,
    log_format: LogFormat = "text",
    log_level: LogLevel = "warning",
) -> int:
    """Make the tables of CDM models in a sink, and publish them to the catalog. Doing it again changes nothing.

    \b
    Examples:
      ingest-ray provision warehouse cdm.work.item cdm.work.user
    """
    installation, service = lazy.installation(config, log_format, log_level), lazy.service("endpoints.provision")
    done = [service.provision(installation, sink, one) for one in model]
    document = {"provisioned": [one.model_dump(mode="json") for one in done]}
    frame().give(document, lambda out: lazy.shown("cdm").show_provisioned(done, out))
    return FINE


def remap(
    endpoint: EndpointArg,
    unit: UnitArg,
    config: ConfigOption = None,
    as_json: JsonOption = False,
    log_format: LogFormat = "text",
    log_level: LogLevel = "warning",
) -> int:
    """Map again what staging keeps of a unit, without asking its source: after its mapping has changed.

    Staging keeps what policy.keep_staging says. No watermark moves.

    \b
    Examples:
      ingest-ray remap tracker jira.issues
    """
    report = lazy.running().remap(lazy.installation(config, log_format, log_level), UnitRef(endpoint, unit))
    frame().give(lazy.documents().run_document(report), lambda out: lazy.shown("run_report").show_report(report, out))
    return FINE if report.state == "SUCCEEDED" else FAILED


def sinks(
    config: ConfigOption = None,
    as_json: JsonOption = False,
    log_format: LogFormat = "text",
    log_level: LogLevel = "warning",
) -> int:
    """Show the sinks, the CDM models that they take, and which of them are provisioned.

    \b
    Examples:
      ingest-ray sinks
    """
    found = lazy.service("endpoints.provision").list_sinks(lazy.installation(config, log_format, log_level))
    document = {"sinks": [one.model_dump(mode="json") for one in found]}
    frame().give(document, lambda out: lazy.shown("cdm").show_sinks(found, out))
    return FINE
