"""What `provision` and `sinks` show."""

from typing import Any, TextIO

from ingest_ray.cli.tables.layout import console_on, table_of


def show_provisioned(done: Any, out: TextIO) -> None:
    console = console_on(out)
    table = table_of("model", "table", "dataset", "catalog")
    for one in done:
        name = f"{one.schema_name}.{one.table_name}" if one.schema_name else one.table_name
        table.add_row(one.model_id, name, one.dataset_id, "published" if one.is_new_to_catalog else "as it was")
    console.print(table)


def show_sinks(found: Any, out: TextIO) -> None:
    console = console_on(out)
    table = table_of("sink", "template", "takes", "provisioned")
    for one in found:
        made = "on first use" if one.provisioned is None else ", ".join(one.provisioned) or "nothing"
        taken = ", ".join(one.supported_cdm_models)
        table.add_row(one.sink_id, one.template, taken or "no models", made if taken else "-")
    console.print(table)
