"""Says which extra of this package installs a Python package that is not there.

An import that finds no package is a mistake of the installation, never a defect: everything that needs an extra is opened under
`named_packages`, and the surfaces name what was overlooked.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec

from ingest_ray.sdk.errors import ConfigError

EXTRAS = {
    "ray": "ray",
    "pandas": "ray-data",
    "adbc_driver_postgresql": "postgres",
    "pg8000": "postgres",
    "pymysql": "mysql",
    "numba": "mysql",
    "llvmlite": "mysql",
    "oracledb": "oracle",
    "pytds": "mssql",
    "OpenSSL": "mssql",
    "deltalake": "delta",
    "obstore": "object-store",
    "boto3": "s3-profiles",
    "pyiceberg": "iceberg",
    "redis": "redis",
    "openlineage": "lineage",
    "confluent_kafka": "lineage-kafka",
    "opentelemetry": "otel",
    "httpx": "ray",
    "urllib3": "http",
    "certifi": "http",
    "idna": "http",
    "msgspec": "http",
    "lxml": "http",
    "temporalio": "temporal",
    "fastapi": "service",
    "strawberry": "service",
    "websockets": "service",
    "itsdangerous": "service",
    "prometheus_client": "service",
    "jwt": "service",
    "nicegui": "service",
    "uvicorn": "service",
    "starlette": "simulate",
    "httptools": "simulate",
    "hvac": "vault",
    "botocore": "aws",
    "google": "gcp",
    "requests": "gcp",
    "azure": "azure",
}
"""The extra of each package, by the name that is imported."""

REQUIRED = frozenset(
    (
        "adbc_driver_manager",
        "adbc_driver_sqlite",
        "cronsim",
        "cryptography",
        "duckdb",
        "numpy",
        "packaging",
        "pyarrow",
        "pydantic",
        "rich",
        "sqlalchemy",
        "tenacity",
        "typer",
        "tzdata",
        "yaml",
    )
)
"""What is installed without any extra."""


def missing_package(error: ImportError, owner: str = "this", extra: str | None = None) -> ConfigError | None:
    """The error that names the package and how to install it; None for a package that is none of ours. `owner`: what needs it;
    `extra`: where the same package is in several."""
    package = (error.name or "").partition(".")[0]
    if package in REQUIRED:
        install = "ingest-ray"
    elif (found := extra or EXTRAS.get(package)) is not None:
        install = f"ingest-ray[{found}]"
    else:
        return None
    return ConfigError(f"{owner} needs the Python package '{package}'", hint=f"pip install '{install}'")


@contextmanager
def named_packages(owner: str, extra: str | None = None) -> Iterator[None]:
    """Raises `ConfigError` with the package and the extra where an import finds none."""
    try:
        yield
    except ModuleNotFoundError as error:
        found = missing_package(error, owner, extra)
        if found is None:
            raise
        raise found from error


def require_package(package: str, owner: str, extra: str | None = None) -> None:
    """Looks for the package without importing it. Raises `ConfigError`."""
    try:
        is_there = find_spec(package) is not None
    except ModuleNotFoundError:
        is_there = False
    if not is_there:
        raise ConfigError(
            f"{owner} needs the Python package '{package}'",
            hint=f"pip install 'ingest-ray[{extra or EXTRAS[package.partition('.')[0]]}]'",
        )
