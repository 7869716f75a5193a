"""`backup` and `restore`: a copy of the state that fits its sinks, taken while runs go on."""

import sys
from pathlib import Path
from typing import Annotated

import typer

from ingest_ray.cli.confirm import confirm
from ingest_ray.cli.invocation import Invocation, YesOption, shared_options

FolderArg = Annotated[Path, typer.Argument(metavar="FOLDER", help="The folder of the backup.", show_default=False)]


@shared_options()
def backup(invocation: Invocation, folder: FolderArg) -> None:
    """Copy state, catalog and quarantine into a new folder. Runs may go on meanwhile.

    Copy the sinks first, then the state: a state that is newer than its sink can go back to it exactly. Secrets stay sealed in
    the backup. Their key, <home>/secret.key or INGEST_SECRET_KEY, is not in it: keep it elsewhere.

    \b
    Examples:
      ingest-ray backup /backups/2026-11-30
      ingest-ray backup /backups/2026-11-30 --json
    """
    from ingest_ray.service.backup.backup import take_backup

    taken = take_backup(invocation.installation, folder)
    text = (
        f"backed up {len(taken.units)} unit(s), {taken.documents} document(s) and {taken.catalog_rows} catalog row(s)"
    )
    invocation.output.write(taken, lambda out: print(f"{text} in {folder}", file=out))


@shared_options()
def restore(
    invocation: Invocation,
    folder: FolderArg,
    replace: Annotated[bool, typer.Option("--replace", help="Replace what the installation has.")] = False,
    to_sinks: Annotated[
        bool, typer.Option("--to-sinks", help="Let each unit go back to what its sink has, as `reset --to-sink` does.")
    ] = False,
    yes: YesOption = False,
) -> int:
    """Put a backup into an installation that is empty, while nothing runs. Sinks are not touched.

    \b
    Examples:
      ingest-ray restore /backups/2026-11-30
      ingest-ray restore /backups/2026-11-30 --to-sinks
      ingest-ray restore /backups/2026-11-30 --replace --yes
    """
    from ingest_ray.service.backup.restore import fit_to_sinks, restore_backup

    if replace and not yes:
        confirm("Replace state, catalog and quarantine of this installation?")
    result = restore_backup(invocation.installation, folder, replaces=replace)
    for endpoint in result.unopened_endpoints:
        print(
            f"warning: the secrets of '{endpoint}' were sealed with another key: put that key back, or apply the "
            "configuration again",
            file=sys.stderr,
        )
    if to_sinks:
        result = result.model_copy(update={"fitted": fit_to_sinks(invocation.installation, folder)})
    lines = [f"restored {result.units} unit(s) of {result.taken_at}"]
    for unit in result.fitted:
        name = f"{unit.endpoint_id}:{unit.unit_id}"
        if unit.error is not None:
            lines.append(f"{name}: {unit.error}" + (f"\n  hint: {unit.hint}" if unit.hint else ""))
        elif unit.note is not None:
            lines.append(f"{name}: not compared: {unit.note}")
        elif unit.sequence != unit.before:
            lines.append(f"{name}: went back from commit {unit.before} to commit {unit.sequence}")
    invocation.output.write(result, lambda out: print("\n".join(lines), file=out))
    return int(any(unit.error is not None for unit in result.fitted))
