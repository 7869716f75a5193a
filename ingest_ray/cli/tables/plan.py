"""What `plan` and `datasets show` show."""

from typing import Any, TextIO

from rich.console import Console
from rich.text import Text

from ingest_ray.cli.format import amount, moment, size
from ingest_ray.cli.tables.layout import console_on, maybe, position_text, table_of


def show_plan(found: Any, most: int, out: TextIO) -> None:
    console = console_on(out)
    console.print(f"{found.ref} -> {found.sink_id}", style="bold", soft_wrap=True)
    facts = {
        "strategy": found.strategy,
        "mode": f"{found.run_mode}, write {found.write}, executor {found.executor}",
        "horizon": _horizon(found.horizon),
        "slices": f"{found.slice_count}, about {maybe(found.estimated_rows, amount)} rows, {maybe(found.estimated_bytes, size)}",
    } | {name.replace("_", " "): _fact(value) for name, value in found.facts.items()}
    table = table_of("fact", "value")
    table.show_header = False
    for name, value in facts.items():
        table.add_row(name, str(value))
    console.print(table)
    segments = table_of("segment", "watermark", "slices", "rows", "bytes", right=("slices", "rows", "bytes"))
    for segment in found.segments:
        segments.add_row(
            segment.segment,
            position_text(segment.watermark),
            str(segment.slices),
            maybe(segment.estimated_rows, amount),
            maybe(segment.estimated_bytes, size),
        )
    if found.segments:
        console.print()
        console.print(segments)
    _show_slices(console, found, most)
    _show_certificate(console, found)


def _fact(value: Any) -> str:
    return ", ".join(map(str, value)) if isinstance(value, list | tuple) else str(value)


def _show_slices(console: Console, found: Any, most: int) -> None:
    if not found.slices or not most:
        return
    table = table_of("slice", "axis", "from", "to (excluded)", "rows", right=("rows",))
    for piece in found.slices[:most]:
        axis = f"{piece.axis.kind} {', '.join(piece.axis.columns)}".strip()
        lower, upper = (piece.interval.lower, piece.interval.upper)
        nulls = "NULLs" if piece.nulls else None
        table.add_row(
            piece.slice_id,
            axis,
            nulls or position_text(lower),
            nulls or position_text(upper),
            maybe(piece.estimated_rows, amount),
        )
    console.print()
    console.print(table)
    if found.slice_count > most:
        console.print(f"... and {found.slice_count - most} more (--slices)")


def _show_certificate(console: Console, found: Any) -> None:
    table = table_of("column", "source", "staged", "sink", "fidelity")
    styles = {"exact": "green", "widened": "", "lossy": "yellow", "refused": "red"}
    for line in found.certificate:
        fidelity = Text(str(line.fidelity), style=styles[str(line.fidelity)])
        if line.note:
            fidelity.append(f": {line.note}", style="")
        table.add_row(line.column, line.source_type, line.arrow, line.sink_type, fidelity)
    if found.certificate:
        console.print()
        console.print(table)


def _horizon(horizon: Any) -> str:
    if horizon is None:
        return "none"
    return f"{position_text(list(horizon.value))} ({horizon.method})" + (f"; {horizon.note}" if horizon.note else "")


def show_dataset(found: Any, out: TextIO) -> None:
    console, dataset = console_on(out), found.dataset
    console.print(f"{dataset.dataset_id} ({dataset.kind})", style="bold", soft_wrap=True)
    table = table_of("column", "source type", "staged as", "null", "fidelity")
    for column in dataset.columns:
        name = column.name + (" (key)" if column.name in dataset.primary_key else "")
        table.add_row(name, column.source_type, column.arrow, "yes" if column.nullable else "no", str(column.fidelity))
    console.print(table)
    console.print()
    versions = table_of("version", "from (UTC)", "last seen (UTC)", "changes")
    for version in found.versions:
        said = list(version.changes) or (["first seen"] if version.version == 1 else [])
        if version.gone_at:
            said.append(f"gone since {moment(version.gone_at)}")
        versions.add_row(
            str(version.version), moment(version.first_seen_at), moment(version.last_seen_at), "\n".join(said)
        )
    console.print(versions)
