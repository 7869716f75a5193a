"""What commands need, imported when one of them runs: `status` and `--help` must be quick."""

from importlib import import_module
from pathlib import Path
from typing import Any

from ingest_ray import logs


def service(module: str) -> Any:
    return import_module(f"ingest_ray.service.{module}")


def shown(module: str) -> Any:
    """The tables of a command, by the module of their subject."""
    return import_module(f"ingest_ray.cli.tables.{module}")


def config() -> Any:
    return import_module("ingest_ray.config")


def running() -> Any:
    return import_module("ingest_ray.cli.foreground_run")


def documents() -> Any:
    return import_module("ingest_ray.cli.documents")


def installation(file: Path | None, log_format: str, log_level: str) -> Any:
    start_logs(log_format, log_level)
    return service("installation").Installation(config().load_settings(file))


def start_logs(log_format: str, log_level: str) -> None:
    logs.configure("json" if log_format == "json" else "text", log_level)
