"""What a copy does with each table, and what came of it; what `init` wrote."""

from typing import TextIO

from ingest_ray.cli.tables.layout import console_on, table_of
from ingest_ray.cli.tables.run_report import show_report
from ingest_ray.service.copying.copy import CopyProject
from ingest_ray.service.drafting.file import WrittenDraft
from ingest_ray.service.runs.execution import RunReport


def show_project(project: CopyProject, out: TextIO) -> None:
    console = console_on(out)
    table = table_of("table", "copied", "by", "key")
    for choice in project.choices:
        how = "changed rows" if choice.cursor is not None else "whole"
        table.add_row(choice.unit_id, how, choice.cursor or choice.reason, ", ".join(choice.key) or "-")
    console.print(table)
    for warning in project.warnings:
        console.print(warning, style="yellow", soft_wrap=True)
    console.print()


def show_copied(report: RunReport, project: CopyProject, out: TextIO) -> None:
    show_report(report, out)
    console = console_on(out)
    console.print(f"project: {project.home}, endpoint {project.endpoint_id}, sink {project.sink_id}", soft_wrap=True)
    console.print(f"next: ingest-ray status {project.endpoint_id}; ingest-ray verify {project.endpoint_id} --rows")


def show_draft(written: WrittenDraft, out: TextIO) -> None:
    console = console_on(out)
    table = table_of("unit", "read", "by", "key")
    for unit in written.units:
        how = "not enabled" if unit.fault else "changed rows" if unit.choice.cursor is not None else "whole"
        table.add_row(
            unit.rule.unit,
            how,
            unit.fault or unit.choice.cursor or unit.choice.reason,
            ", ".join(unit.choice.key) or "-",
        )
    console.print(table)
    for warning in written.warnings:
        console.print(warning, style="yellow", soft_wrap=True)
    console.print(f"{written.file} is written: {len(written.units)} units", soft_wrap=True)
    for name in written.variables:
        console.print(f"set before the next command: export {name}=...", soft_wrap=True)
    file = "" if written.file == "ingest.yaml" else f" {written.file}"
    config = f" -c{file}" if file else ""
    console.print(
        f"next: ingest-ray apply{file} && ingest-ray collect {written.endpoint_id}{config} && ingest-ray run {written.endpoint_id}{config}",
        soft_wrap=True,
    )
