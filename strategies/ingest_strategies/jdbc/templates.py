"""The templates of SQL databases: descriptors that load their strategy when it is first used.

Importing this module imports no driver.
"""

from ingest_ray.sdk.contracts import Addresses, Descriptor
from ingest_strategies.jdbc.mssql.config import MssqlConfig
from ingest_strategies.jdbc.mysql.config import MysqlConfig
from ingest_strategies.jdbc.oracle.config import OracleConfig
from ingest_strategies.jdbc.postgres.config import PostgresConfig
from ingest_strategies.jdbc.sqlite.config import SqliteConfig
from ingest_strategies.lazy_strategy import LazyModule

postgres = LazyModule(
    Descriptor(
        template="jdbc.postgres",
        addresses=Addresses(schemes=("postgresql", "postgres")),
        family="JDBC",
        title="PostgreSQL",
        vendor="postgres",
        config_model=PostgresConfig,
        description="Tables, views and partitioned tables of one database, read through Arrow in one snapshot.",
        capabilities=("full", "incremental", "changes", "lookback", "snapshot", "parallel", "preview"),
        docs_url="https://www.postgresql.org/docs/current/",
        default_port=5432,
        sample_config={
            "url": "postgresql://app@localhost/shop",
            "password": "env:SHOP_PASSWORD",
            "schemas": ["public"],
        },
    ),
    "ingest_strategies.jdbc.postgres.dialect:strategy",
    extra="postgres",
)

sqlite = LazyModule(
    Descriptor(
        template="jdbc.sqlite",
        addresses=Addresses(schemes=("sqlite",), suffixes=(".db", ".sqlite", ".sqlite3"), file_form="sqlite:///{path}"),
        family="JDBC",
        title="SQLite",
        vendor="sqlite",
        config_model=SqliteConfig,
        description="Tables and views of one database file, opened read-only.",
        capabilities=("full", "incremental", "lookback", "parallel", "preview"),
        docs_url="https://www.sqlite.org/docs.html",
        sample_config={"path": "shop.db"},
    ),
    "ingest_strategies.jdbc.sqlite.dialect:strategy",
    extra="all",
)

mysql = LazyModule(
    Descriptor(
        template="jdbc.mysql",
        addresses=Addresses(schemes=("mysql", "mariadb")),
        family="JDBC",
        title="MySQL and MariaDB",
        vendor="mysql",
        config_model=MysqlConfig,
        description="Tables and views of one server, each slice read in a consistent snapshot of its own.",
        capabilities=("full", "incremental", "changes", "lookback", "parallel", "preview"),
        docs_url="https://mariadb.com/kb/en/documentation/",
        default_port=3306,
        sample_config={"url": "mysql://app@localhost/shop", "password": "env:SHOP_PASSWORD"},
    ),
    "ingest_strategies.jdbc.mysql.dialect:strategy",
    extra="mysql",
)

oracle = LazyModule(
    Descriptor(
        template="jdbc.oracle",
        addresses=Addresses(schemes=("oracle",)),
        family="JDBC",
        title="Oracle",
        vendor="oracle",
        config_model=OracleConfig,
        description="Tables, views and materialized views of one database, as of one system change number where allowed.",
        capabilities=("full", "incremental", "lookback", "snapshot", "parallel", "preview"),
        docs_url="https://docs.oracle.com/en/database/oracle/oracle-database/",
        default_port=1521,
        sample_config={
            "url": "jdbc:oracle:thin:@//localhost:1521/SHOP",
            "user": "app",
            "password": "env:SHOP_PASSWORD",
        },
    ),
    "ingest_strategies.jdbc.oracle.dialect:strategy",
    extra="oracle",
)

mssql = LazyModule(
    Descriptor(
        template="jdbc.mssql",
        addresses=Addresses(schemes=("mssql", "sqlserver")),
        family="JDBC",
        title="SQL Server",
        vendor="mssql",
        config_model=MssqlConfig,
        description="Tables and views of one database, each slice read over row versions.",
        capabilities=("full", "incremental", "lookback", "parallel", "preview"),
        docs_url="https://learn.microsoft.com/en-us/sql/",
        default_port=1433,
        sample_config={
            "url": "jdbc:sqlserver://localhost:1433;databaseName=shop;user=app",
            "password": "env:SHOP_PASSWORD",
        },
    ),
    "ingest_strategies.jdbc.mssql.dialect:strategy",
    extra="mssql",
)

__all__ = ["mssql", "mysql", "oracle", "postgres", "sqlite"]
