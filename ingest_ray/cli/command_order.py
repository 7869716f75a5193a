"""Shows the commands of `--help` in the order in which people meet them, groups of commands among them; options get their variables of the environment."""

from collections.abc import Sequence
from typing import Any

from typer.core import TyperGroup

from ingest_ray.cli.environment import name_variables

ORDER = (
    ("Begin", ("copy", "init", "templates", "validate", "apply", "test", "collect")),
    ("Look", ("endpoints", "sinks", "datasets", "units", "preview", "plan")),
    ("Run", ("run", "status", "pause", "history", "logs", "verify", "quarantine", "changes", "watermark", "reset")),
    ("Common data model", ("provision", "remap")),
    ("Service", ("serve", "token", "alert", "audit", "secrets", "schema", "worker", "temporal")),
    ("Upkeep", ("doctor", "sweep", "compact", "vacuum", "relayout", "backup", "restore", "simulate", "version")),
)


class OrderedCommands(TyperGroup):
    def __init__(self, **settings: Any) -> None:
        super().__init__(**settings)
        name_variables(self)

    def list_commands(self, ctx: Any) -> list[str]:
        named = [name for _, names in ORDER for name in names]
        return [*(name for name in named if name in self.commands), *sorted(self.commands.keys() - set(named))]

    def format_commands(self, ctx: Any, formatter: Any) -> None:
        """In sections. A command that no section names is in the last one."""
        rest = tuple(
            name for name in self.list_commands(ctx) if name not in {each for _, names in ORDER for each in names}
        )
        for title, names in (*ORDER, ("Other", rest)):
            rows = self._rows(names, formatter)
            if rows:
                with formatter.section(title):
                    formatter.write_dl(rows)

    def _rows(self, names: Sequence[str], formatter: Any) -> list[tuple[str, str]]:
        limit = formatter.width - 6 - max(map(len, self.commands))
        return [(name, self.commands[name].get_short_help_str(limit)) for name in names if name in self.commands]
