"""Opens the sinks of a SQL database: chooses the database by its URL and imports only its driver."""

from importlib import import_module

from ingest_ray.sdk.contracts import ModelSink, Sink
from ingest_ray.sdk.errors import ConfigError
from ingest_ray.sinks.databases.database import Database
from ingest_ray.sinks.databases.model_sink import SqlModelSink
from ingest_ray.sinks.databases.reach import made_reach
from ingest_ray.sinks.databases.table_sink import SqlSink
from ingest_ray.sinks.templates import CdmConfig, SqlConfig

_MODULES = {
    "postgresql": "postgres.database",
    "postgres": "postgres.database",
    "mysql": "mysql.database",
    "mariadb": "mysql.database",
    "sqlite": "sqlite",
}
_COPYING = {"postgresql": "postgres.copy_sink", "postgres": "postgres.copy_sink"}
_PORTS = {"postgresql": 5432, "postgres": 5432, "mysql": 3306, "mariadb": 3306}


def open_sink(config: SqlConfig) -> Sink:
    database, scheme = _database(config), _scheme(config)
    if scheme not in _COPYING:
        return SqlSink(database)
    sink: Sink = import_module(f"ingest_ray.sinks.databases.{_COPYING[scheme]}").CopySink(database)
    return sink


def open_models(config: SqlConfig) -> ModelSink:
    if isinstance(config, CdmConfig):
        return SqlModelSink(_database(config), prefix=config.prefix, creates_tables=False)
    return SqlModelSink(_database(config))


def _scheme(config: SqlConfig) -> str:
    return config.url.removeprefix("jdbc:").split(":", 1)[0].split("+", 1)[0].lower()


def _database(config: SqlConfig) -> Database:
    url, scheme = config.url.removeprefix("jdbc:"), _scheme(config)
    if scheme not in _MODULES:
        raise ConfigError(f"there is no SQL sink for database '{scheme}'", hint=f"known: {', '.join(sorted(_MODULES))}")
    module = import_module(f"ingest_ray.sinks.databases.{_MODULES[scheme]}")
    password = config.password.get_secret_value() if config.password else None
    if scheme not in _PORTS and (config.login or config.tunnel):
        raise ConfigError(f"a '{scheme}' sink has neither 'login' nor 'tunnel': it is a file")
    reach = made_reach(url, _PORTS[scheme], config) if scheme in _PORTS else None
    database: Database = (
        module.open_database(url, password, config.schema_name, reach)
        if reach is not None
        else module.open_database(url, password, config.schema_name)
    )
    return database
