"""The expressions of a rule's `cdm.models`: names and grammar. Columns are checked later, against the dataset."""

from collections.abc import Iterator

from ingest_ray.cdm.expressions import ExpressionMapper
from ingest_ray.config.document import UnitRule
from ingest_ray.config.yaml_lines import Lines, Path
from ingest_ray.secrets.fields import spelled


def faults_of_mapping(lines: Lines, n: int, rule: UnitRule) -> Iterator[str]:
    for fault in ExpressionMapper(rule.cdm, rule.cdm.system or rule.endpoint).find_faults(None):
        path: Path = ("units", n, "cdm", "models", fault.model_id, *(() if fault.field is None else (fault.field,)))
        yield f"{lines.at(path)}: {spelled(path)}: {fault.message}"
