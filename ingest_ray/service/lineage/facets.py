"""Datasets of a run with their facets, as https://openlineage.io/docs/spec/facets describes them. No values of rows."""

from collections.abc import Mapping
from urllib.parse import urlsplit

from openlineage.client.event_v2 import InputDataset, OutputDataset
from openlineage.client.facet_v2 import (
    column_lineage_dataset,
    data_quality_assertions_dataset,
    data_quality_metrics_input_dataset,
    datasource_dataset,
    output_statistics_output_dataset,
    schema_dataset,
)

from ingest_ray.cdm.models import model_of
from ingest_ray.engine.masking.masked_dataset import masked_dataset
from ingest_ray.engine.reports import VerifyReport
from ingest_ray.engine.run_order import RunOrder
from ingest_ray.sdk.errors import RowsDiffer
from ingest_ray.sdk.types import Dataset, RunSummary, UnitSpec
from ingest_ray.sdk.url_credentials import shown_url

ADDRESSES = (
    "url",
    "base_url",
    "uri",
    "path",
    "host",
)  # the fields of endpoints that say where they are, the best first


def input_of(order: RunOrder, summary: RunSummary | None) -> InputDataset:
    """`summary`: of a run that ended."""
    spec = order.spec
    namespace, name = source_name(spec)
    facets = {"schema": _schema_of(read_columns(spec)), "dataSource": _source_of(spec, namespace)}
    if summary is None:
        return InputDataset(namespace=namespace, name=name, facets=facets)
    quality = _counted(summary.rows.read)
    checked = _asserted({"no row is quarantined": summary.rows.quarantined == 0})
    return InputDataset(
        namespace=namespace,
        name=name,
        facets=facets,
        inputFacets={"dataQualityMetrics": quality, "dataQualityAssertions": checked},
    )


def compared_datasets(order: RunOrder, report: VerifyReport | None, location: str | None) -> list[InputDataset]:
    """Both sides of a comparison; those of the sink with what was found, as assertions. `location`: of the unit's rows in the sink."""
    spec = order.spec
    namespace, name = source_name(spec)
    facets = {"schema": _schema_of(read_columns(spec)), "dataSource": _source_of(spec, namespace)}
    source = InputDataset(namespace=namespace, name=name, facets=facets)
    if location is None:
        return [source]
    sink_namespace, sink_name = target_name(spec, location)
    sink = InputDataset(namespace=sink_namespace, name=sink_name)
    if report is not None and (report.error is None or report.error.code == RowsDiffer.code):
        source.inputFacets = {"dataQualityMetrics": _counted(report.rows_at_source)}
        held = {
            "every row of the source is in the sink": report.missing == 0,
            "no row is in the sink only": report.surplus == 0,
            "no row has other values": report.different == 0,
            "no row is doubled": report.doubled == 0,
        }
        sink.inputFacets = {
            "dataQualityMetrics": _counted(report.rows_in_sink),
            "dataQualityAssertions": _asserted(held),
        }
    return [source, sink]


def outputs_of(order: RunOrder, summary: RunSummary) -> list[OutputDataset]:
    """The unit's table, or those of its models; none where the run did not come so far."""
    spec = order.spec
    if summary.target is None:
        return []
    namespace, name = target_name(spec, summary.target)
    if not spec.is_cdm:
        columns = masked_dataset(spec).columns
        renames, read = spec.policy.renames, {column.name for column in read_columns(spec).columns}
        fields = {renames.get(each.name, each.name): each.arrow for each in columns if each.name in read}
        return [_output(namespace, name, fields, _of_columns(spec), summary.rows.committed, summary.bytes_staged)]
    found = []
    for model_id in spec.config.cdm.models or summary.models:
        model_columns = {column: str(kind) for column, kind in model_of(model_id).columns.items()}
        counts = summary.models.get(model_id)
        rows = counts.committed if counts is not None else 0
        found.append(_output(namespace, f"{name}/{model_id}", model_columns, _of_model(spec, model_id), rows, None))
    return found


def source_name(spec: UnitSpec) -> tuple[str, str]:
    """Namespace and name. Namespaces have no credentials: scheme, host and port, or the endpoint's id where it has no address."""
    config = spec.endpoint.config
    address = next((value for field in ADDRESSES if isinstance(value := config.get(field), str)), None)
    name = spec.dataset.name
    if address is None or "://" not in address:
        return f"ingest-ray://{spec.endpoint.endpoint_id}", name
    parts = urlsplit(shown_url(address))
    host = parts.netloc.rpartition("@")[2]
    database = parts.path.strip("/")
    return f"{parts.scheme}://{host}", f"{database}.{name}" if database else name


def target_name(spec: UnitSpec, target: str) -> tuple[str, str]:
    if target.startswith("/"):
        return "file", target
    if "://" in target:
        parts = urlsplit(shown_url(target))
        return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}", parts.path.strip("/") or spec.unit_id
    return f"ingest-ray://{spec.config.sink_id}", target


def read_columns(spec: UnitSpec) -> Dataset:
    policy = spec.policy
    left = [
        column
        for column in spec.dataset.columns
        if column.name not in policy.exclude_columns and (not policy.columns or column.name in policy.columns)
    ]
    return spec.dataset.model_copy(update={"columns": tuple(left)})


def _schema_of(dataset: Dataset) -> schema_dataset.SchemaDatasetFacet:
    fields = [
        schema_dataset.SchemaDatasetFacetFields(name=column.name, type=column.source_type) for column in dataset.columns
    ]
    return schema_dataset.SchemaDatasetFacet(fields=fields)


def _counted(rows: int) -> data_quality_metrics_input_dataset.DataQualityMetricsInputDatasetFacet:
    return data_quality_metrics_input_dataset.DataQualityMetricsInputDatasetFacet(rowCount=rows, columnMetrics={})


def _asserted(held: Mapping[str, bool]) -> data_quality_assertions_dataset.DataQualityAssertionsDatasetFacet:
    assertions = [
        data_quality_assertions_dataset.Assertion(assertion=text, success=is_held) for text, is_held in held.items()
    ]
    return data_quality_assertions_dataset.DataQualityAssertionsDatasetFacet(assertions=assertions)


def _source_of(spec: UnitSpec, namespace: str) -> datasource_dataset.DatasourceDatasetFacet:
    return datasource_dataset.DatasourceDatasetFacet(name=spec.endpoint.endpoint_id, uri=namespace)


def _output(
    namespace: str,
    name: str,
    columns: Mapping[str, str],
    lineage: column_lineage_dataset.ColumnLineageDatasetFacet,
    rows: int,
    size: int | None,
) -> OutputDataset:
    fields = [schema_dataset.SchemaDatasetFacetFields(name=column, type=kind) for column, kind in columns.items()]
    counts = output_statistics_output_dataset.OutputStatisticsOutputDatasetFacet(rowCount=rows, size=size)
    return OutputDataset(
        namespace=namespace,
        name=name,
        facets={"schema": schema_dataset.SchemaDatasetFacet(fields=fields), "columnLineage": lineage},
        outputFacets={"outputStatistics": counts},
    )


def _of_columns(spec: UnitSpec) -> column_lineage_dataset.ColumnLineageDatasetFacet:
    renames, masks = spec.policy.renames, spec.policy.masks
    fields = {}
    for column in read_columns(spec).columns:
        mask = masks.get(column.name)
        kind = column_lineage_dataset.Transformation(
            type="DIRECT",
            subtype="IDENTITY" if mask is None else "TRANSFORMATION",
            description=None if mask is None else f"mask: {mask}",
            masking=mask is not None,
        )
        fields[renames.get(column.name, column.name)] = column_lineage_dataset.Fields(
            inputFields=[_field(spec, column.name, kind)]
        )
    return column_lineage_dataset.ColumnLineageDatasetFacet(fields=fields)


def _of_model(spec: UnitSpec, model_id: str) -> column_lineage_dataset.ColumnLineageDatasetFacet:
    """Of expressions, the columns that each names. A mapper in code may read every column for every field."""
    known = [column.name for column in read_columns(spec).columns]
    expressions = spec.config.cdm.models.get(model_id, {})
    if not expressions:
        kind = column_lineage_dataset.Transformation(
            type="DIRECT", subtype="TRANSFORMATION", description="mapper in code"
        )
        every = [_field(spec, name, kind) for name in known]
        fields = {
            field: column_lineage_dataset.Fields(inputFields=every) for field in model_of(model_id).columns if every
        }
        return column_lineage_dataset.ColumnLineageDatasetFacet(fields=fields)
    from ingest_ray.cdm.expressions import columns_of_expression

    fields = {}
    for field, text in expressions.items():
        kind = column_lineage_dataset.Transformation(type="DIRECT", subtype="TRANSFORMATION", description=text[:500])
        used = columns_of_expression(text, known)
        fields[field] = column_lineage_dataset.Fields(inputFields=[_field(spec, name, kind) for name in used])
    return column_lineage_dataset.ColumnLineageDatasetFacet(fields=fields)


def _field(
    spec: UnitSpec, column: str, kind: column_lineage_dataset.Transformation
) -> column_lineage_dataset.InputField:
    namespace, name = source_name(spec)
    return column_lineage_dataset.InputField(namespace=namespace, name=name, field=column, transformations=[kind])
