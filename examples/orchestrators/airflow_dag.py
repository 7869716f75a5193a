"""Airflow: an operator that lands one unit, and a DAG with one of it for each.

https://airflow.apache.org/docs/apache-airflow/stable/howto/custom-operator.html
"""

from collections.abc import Sequence
from typing import Any

from airflow.exceptions import AirflowException
from airflow.models import BaseOperator

import ingest_ray


class LandUnit(BaseOperator):  # type: ignore[misc]
    """Returns the rows that were committed. `on_kill` stops the run after the commit under way; a retry goes on there."""

    template_fields: Sequence[str] = ("file", "endpoint", "unit")

    def __init__(self, *, file: str, endpoint: str, unit: str, **arguments: Any) -> None:
        super().__init__(**arguments)
        self.file, self.endpoint, self.unit = file, endpoint, unit
        self._is_killed = False

    def execute(self, context: Any) -> int:
        with ingest_ray.open(self.file) as project:
            report = project.run(self.endpoint, self.unit, is_stopping=lambda: self._is_killed)
        (summary,) = report.units
        if summary.error is not None:
            raise AirflowException(f"{summary.error.message} [{summary.error.code}]")
        return summary.rows.committed

    def on_kill(self) -> None:
        self._is_killed = True
