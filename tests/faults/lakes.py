"""The lakes of the campaign: Delta or Iceberg, in a folder; or Iceberg in an object store that breaks some requests.

`read` goes to the store itself, without the proxy, and through the library of the format.
"""

import contextlib
import logging
import shutil
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import boto3
import pyarrow as pa
from deltalake import DeltaTable
from pyiceberg.catalog.sql import SqlCatalog
from pyiceberg.exceptions import NoSuchTableError

from ingest_ray.kv.engine import state_engine
from ingest_ray.sinks.iceberg.catalog import _EngineCatalog
from tests.object_stores.proxy import every, first_of, open_proxy, some

BUCKET = "campaign"
LAYOUT = {"partition_by": ["bucket(4, id)"], "cluster_by": ["updated_at"], "compact_after": 6}
KEYS = {"s3.access-key-id": "key", "s3.secret-access-key": "secret", "s3.region": "us-east-1"}


@dataclass
class Lake:
    """`root`: a folder. `store`: the object store's address, behind the proxy and direct; None: the files are in the folder."""

    root: Path
    template: str = "lake.delta"
    store: tuple[str, str] | None = None
    _readers: list[SqlCatalog] = field(default_factory=list)

    def sink(self) -> dict[str, Any]:
        if self.template == "lake.delta":
            return {"template": self.template, "config": {"uri": str(self.root)}}
        config: dict[str, Any] = {"warehouse": self._warehouse, "uri": self._catalog_url}
        if self.store is not None:
            config["options"] = {**KEYS, "s3.endpoint": self.store[0]}
        return {"template": self.template, "config": config}

    def read(self, name: str) -> pa.Table:
        """`name`: `<endpoint>/<unit>`, or `cdm/<model>`."""
        if self.template == "lake.delta":
            return DeltaTable(str(self.root / name)).to_pyarrow_table()
        return self._reader().load_table(_identifier(name)).scan().to_arrow()

    def drop(self, name: str) -> None:
        """Removes a table, where there is one."""
        if self.template == "lake.delta":
            shutil.rmtree(self.root / name, ignore_errors=True)
            return
        with contextlib.suppress(NoSuchTableError):
            self._reader().drop_table(_identifier(name))
        if self.store is None:
            shutil.rmtree(self.root.joinpath(*_identifier(name)), ignore_errors=True)

    def staged_files(self) -> set[str]:
        """The files that readers wrote and the newest snapshots name; of Iceberg only."""
        if self.template == "lake.delta":
            return set()
        reader = self._reader()
        names = [name for namespace in reader.list_namespaces() for name in reader.list_tables(namespace)]
        tables = [reader.load_table(name) for name in names]
        paths = [task.file.file_path for table in tables for task in table.scan().plan_files()]
        return {path for path in paths if "/staged-" in path}

    @property
    def _warehouse(self) -> str:
        return str(self.root) if self.store is None else f"s3://{BUCKET}/{self.root.parent.name.replace(' ', '-')}"

    @property
    def _catalog_url(self) -> str:
        self.root.mkdir(parents=True, exist_ok=True)
        return f"sqlite:///{self.root}/catalog.db"

    def _reader(self) -> SqlCatalog:
        if not self._readers:
            direct = {} if self.store is None else {**KEYS, "s3.endpoint": self.store[1]}
            self._readers.append(_EngineCatalog("ingest", state_engine(self._catalog_url), direct))
        return self._readers[0]

    def close(self) -> None:
        for reader in self._readers:
            reader.engine.dispose()


@contextmanager
def object_store() -> Iterator[tuple[str, str]]:
    """A server of S3 and a proxy before it that breaks one request in ten: the addresses of the proxy and of the server."""
    from moto.server import ThreadedMotoServer

    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    with ExitStack() as stack:
        stack.callback(server.stop)
        url = "http://{}:{}".format(*server.get_host_and_port())
        keys = {"aws_access_key_id": "key", "aws_secret_access_key": "secret", "region_name": "us-east-1"}
        boto3.client("s3", endpoint_url=url, **keys).create_bucket(Bucket=BUCKET)
        proxy = stack.enter_context(open_proxy(url))
        proxy.rule = first_of(
            [some(0.05, "busy"), some(0.03, "lost"), every(29, "cut", lambda one: one.method == "GET")]
        )
        yield proxy.url, url


def _identifier(name: str) -> tuple[str, str]:
    folder, _, table = name.partition("/")
    return folder, table.replace(".", "_")
