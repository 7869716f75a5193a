"""Shows results in a notebook as the command line shows them.

Jupyter asks an object for `_repr_html_`: https://ipython.readthedocs.io/en/stable/config/integrating.html#rich-display
"""

import io
from collections.abc import Callable
from html import escape
from typing import Any, TextIO

from rich.text import Text

from ingest_ray.cli.tables.apply import show_changes
from ingest_ray.cli.tables.collect import show_collected
from ingest_ray.cli.tables.plan import show_plan
from ingest_ray.cli.tables.run_report import show_report
from ingest_ray.cli.tables.status import show_status
from ingest_ray.cli.tables.units import show_units
from ingest_ray.cli.tables.verification import show_verification
from ingest_ray.engine.reports import PlanPreview
from ingest_ray.service.endpoints.apply import ApplyResult
from ingest_ray.service.endpoints.collect import CollectResult
from ingest_ray.service.runs.execution import RunReport
from ingest_ray.service.runs.verification import Verification
from ingest_ray.service.units.listing import EndpointUnits
from ingest_ray.service.units.status import StatusReport

SLICES = 10  # of a plan

SHOWN: dict[type[Any], Callable[[Any, TextIO], None]] = {
    ApplyResult: show_changes,
    CollectResult: show_collected,
    EndpointUnits: show_units,
    PlanPreview: lambda plan, out: show_plan(plan, SLICES, out),
    RunReport: show_report,
    StatusReport: lambda report, out: show_status(report, len(report.units) == 1, out),
    Verification: show_verification,
}


def html_of(result: Any) -> str:
    """The tables of a result, with everything in them escaped: names and values of a source must not be markup.

    Without the sequences of colors that `FORCE_COLOR` asks for, which a kernel sets.
    """
    out = io.StringIO()
    SHOWN[type(result)](result, out)
    return f'<pre style="white-space: pre; overflow-x: auto">{escape(Text.from_ansi(out.getvalue()).plain)}</pre>'


def show_in_notebooks() -> None:
    for kind in SHOWN:
        kind._repr_html_ = html_of
