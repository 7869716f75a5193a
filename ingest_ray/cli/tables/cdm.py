"""The results of `provision` and `sinks`."""

from collections.abc import Sequence
from typing import TextIO

from ingest_ray.cli.tables.layout import console_on, table_of
from ingest_ray.service.endpoints.provision import ProvisionResult, SinkView


def show_provisioned(provisioned: Sequence[ProvisionResult], out: TextIO) -> None:
    table = table_of("model", "table", "dataset", "catalog")
    for entry in provisioned:
        name = f"{entry.schema_name}.{entry.table_name}" if entry.schema_name else entry.table_name
        table.add_row(entry.model_id, name, entry.dataset_id, "published" if entry.is_new_to_catalog else "as it was")
    console_on(out).print(table)


def show_sinks(sinks: Sequence[SinkView], out: TextIO) -> None:
    table = table_of("sink", "template", "takes", "provisioned")
    for sink in sinks:
        provisioned = "on first use" if sink.provisioned is None else ", ".join(sink.provisioned) or "nothing"
        supported = ", ".join(sink.supported_cdm_models)
        table.add_row(sink.sink_id, sink.template, supported or "no models", provisioned if supported else "-")
    console_on(out).print(table)
