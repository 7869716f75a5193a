"""What holds for every command: variables of the environment, patterns of units, closed pipes."""

import os
import re
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from typer.main import get_command

from ingest_ray.cli import pipes
from ingest_ray.cli.app import app
from ingest_ray.cli.environment import OF_ALL_COMMANDS, asks_for_json, options_of, variable_of
from ingest_ray.sdk.errors import ConfigError
from ingest_ray.service.endpoints import templates
from tests.cli.in_process import InProcessCli

COMMAND = [str(Path(sys.executable).parent / "ingest-ray")]
FILE = """\
endpoints:
  - {id: shop, template: jdbc.sqlite, config: {path: shop.db}}
sinks:
  - {id: lake, template: lake.delta, config: {uri: ./lake}}
units:
  - {endpoint: shop, unit: "*", sink: lake, enabled: true, run_mode: INCREMENTAL, policy: {cursor: updated_at}}
"""
UNIT_ARGUMENTS = ("UNIT", "UNIT...", "DATASET")
MORE = {  # what a command needs besides its endpoint and unit
    "watermark set": ["2026-01-01 00:00:00", "--yes"],
    "reset": ["--yes"],
    "changes drop": ["--yes"],
    "quarantine discard": ["--yes"],
}
WITHOUT_FILE = {  # neither read nor change an installation, and why
    "templates": "shows what is installed with this Python",
    "schema": "is the same for every installation",
    "temporal schemas": "are the same for every installation",
    "simulate": "serves a site of its own; its options are the simulator's",
    "version": "shows what is installed with this Python",
}
UNKNOWN = ("E_INGESTION_UNIT_NOT_FOUND", "E_INGESTION_DATASET_UNKNOWN")
TYPED = ("E_CDM_MODE_UNSUPPORTED", "E_INGESTION_MODE_UNSUPPORTED")  # of this command, and not of its pattern


def commands() -> Iterator[tuple[str, Any]]:
    def walk(command: Any, path: tuple[str, ...]) -> Iterator[tuple[str, Any]]:
        below = getattr(command, "commands", None)
        if below is None:
            yield " ".join(path), command
        else:
            for name, each in below.items():
                yield from walk(each, (*path, name))

    yield from walk(get_command(app), ())


WITH_UNITS = [
    name
    for name, command in commands()
    if any(part.param_type_name == "argument" and part.metavar in UNIT_ARGUMENTS for part in command.params)
]


@pytest.fixture
def cli(tmp_path: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> InProcessCli:
    monkeypatch.delenv("INGEST_HOME", raising=False)
    with closing(sqlite3.connect(tmp_path / "shop.db")) as shop:
        shop.executescript(
            "create table orders(id integer primary key, updated_at timestamp);"
            "insert into orders values (1, '2026-01-01 00:00:00'), (2, '2026-01-02 00:00:00');"
            "create table other(id integer primary key, updated_at timestamp);"
        )
    (tmp_path / "ingest.yaml").write_text(FILE)
    there = InProcessCli(tmp_path, capfd)
    there.json("apply")
    there.json("collect", "shop")
    return there


def test_every_option_has_one_variable_of_its_own_and_help_shows_it() -> None:
    group = get_command(app)
    variables: dict[str, set[tuple[str, ...]]] = {}
    for path, option, name in options_of(group):
        assert option.envvar == variable_of(path, name), (path, name)
        assert option.show_envvar
        if name not in OF_ALL_COMMANDS:
            variables.setdefault(option.envvar, set()).add(path)
    assert len(variables) > 60
    assert {name: paths for name, paths in variables.items() if len(paths) > 1} == {}
    every = {*variables, *(variable_of((), name) for name in OF_ALL_COMMANDS)}
    assert all(name.startswith("INGEST_RAY_") for name in every)
    documents = Path(__file__).parents[2] / "docs"
    settings = {name for file in documents.rglob("*.md") for name in re.findall(r"INGEST_[A-Z_]+", file.read_text())}
    assert not {name for name in settings if not name.startswith("INGEST_RAY_")} & every


def test_every_command_that_reads_an_installation_or_a_file_takes_the_file_as_c() -> None:
    without = {name for name, command in commands() if not any("-c" in part.opts for part in command.params)}
    assert without == {*WITHOUT_FILE}
    variables = {
        name: part.envvar
        for name, command in commands()
        for part in command.params
        if "-c" in getattr(part, "opts", ())
    }
    assert variables.pop("init") == "INGEST_RAY_INIT_FILE"  # the file it writes
    assert {*variables.values()} == {"INGEST_RAY_CONFIG"}


def test_options_of_the_simulator_have_variables_too(monkeypatch: pytest.MonkeyPatch) -> None:
    from ingest_ray.cli.commands.simulate import show_variables, with_variables
    from ingest_ray.simulators.atlassian.command_line import parser

    monkeypatch.setenv("INGEST_RAY_SIMULATE_ISSUES", "50")
    monkeypatch.setenv("INGEST_RAY_SIMULATE_RATE_LIMIT", "2.5")
    monkeypatch.setenv("INGEST_RAY_SIMULATE_TRAP", "rate-limit slow")
    monkeypatch.setenv("INGEST_RAY_SIMULATE_FROZEN", "true")
    monkeypatch.setenv("INGEST_RAY_SIMULATE_USERS", "")
    options = parser()
    found = options.parse_args(with_variables(options, ["jira", "--issues", "7"]))
    assert (found.product, found.issues, found.rate_limit, found.users) == ("jira", 7, 2.5, 0)
    assert (found.traps, found.frozen) == (["rate-limit", "slow"], True)
    assert options.parse_args(with_variables(options, ["jira", "--trap", "x"])).traps == ["x"]
    show_variables(options)
    assert "INGEST_RAY_SIMULATE_QUOTA" in options.format_help()


def test_a_variable_gives_an_option_and_the_call_comes_first(
    cli: InProcessCli, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    cli.json("run", "shop")
    cli.json("run", "shop")
    monkeypatch.setenv("INGEST_RAY_HISTORY_LIMIT", "1")
    assert len(cli.json("history")["runs"]) == 1
    assert len(cli.json("history", "--limit", "3")["runs"]) == 3
    monkeypatch.setenv("INGEST_RAY_HISTORY_LIMIT", "many")
    code, _, err = cli.run("history")
    assert (code, "INGEST_RAY_HISTORY_LIMIT" in err) == (2, True)
    monkeypatch.setenv("INGEST_RAY_CONFIG", str(tmp_path / "ingest.yaml"))
    elsewhere = InProcessCli(tmp_path.parent, cli._capfd)
    assert {unit["unit_id"] for unit in elsewhere.json("units", "shop")["units"]} == {"orders", "other"}
    assert elsewhere.run("units", "shop", "-c", "no.yaml")[0] == 2
    monkeypatch.setenv("INGEST_RAY_RESET_YES", "true")
    assert cli.json("reset", "shop", "orders")["segments"] == 1


def test_the_environment_asks_for_json_where_a_command_has_it(
    cli: InProcessCli, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("INGEST_RAY_JSON", "1")
    assert cli.run("status")[1].startswith("{")
    assert cli.run("status", "nosuch")[1].startswith('{"error"')
    assert "Usage" in cli.run("status", "--help")[1]
    tree = get_command(app)
    assert asks_for_json(lambda: tree, ["quarantine", "list"])
    assert not asks_for_json(lambda: tree, ["serve"])
    monkeypatch.setenv("INGEST_RAY_JSON", "no")
    assert not cli.run("status")[1].startswith("{")


def test_the_walk_finds_the_commands_that_name_units() -> None:
    assert {"plan", "run", "pause", "reset", "history", "quarantine replay", "changes drop", "compact"} <= {*WITH_UNITS}


@pytest.mark.slow
def test_every_command_that_names_a_unit_takes_a_pattern(cli: InProcessCli) -> None:
    cli.json("run", "shop")
    for name in sorted(WITH_UNITS):
        after = MORE.get(name, [])
        refused = cli.json(*name.split(), "shop", "no.such*", *after, code=2)["error"]
        assert refused["code"] in UNKNOWN, name
        assert "no.such*" in refused["message"], name
        code, out, err = cli.run(*name.split(), "shop", "o*", *after, "--json")
        assert not any(text in out for text in (*UNKNOWN, "E_INTERNAL")), (name, err)
        assert code == 0 or any(text in out for text in TYPED), (name, out)


def test_a_pattern_gives_a_list_and_a_unit_that_fails_keeps_no_other_from_its_turn(cli: InProcessCli) -> None:
    assert cli.json("plan", "shop", "orders")["unit_id"] == "orders"
    with closing(sqlite3.connect(cli.folder / "shop.db")) as shop:
        shop.execute("drop table orders")
    listed = cli.json("preview", "shop", "*", code=1)["previews"]
    assert [each["unit_id"] for each in listed] == ["orders", "other"]
    assert ("error" in listed[0], "error" in listed[1]) == (True, False)
    code, out, err = cli.run("preview", "shop", "*")
    assert (code, "shop:other" in out, "shop:orders" in err) == (1, True, True)


def test_templates_names_one_that_cannot_be_loaded_and_goes_on(
    cli: InProcessCli, monkeypatch: pytest.MonkeyPatch
) -> None:
    names, load = templates.strategy_templates(), templates.strategy_for

    def strategy_for(name: str) -> Any:
        if name == "my.broken":
            raise ConfigError("entry point 'my.broken' cannot be loaded: ImportError: x", hint="reinstall it")
        return load(name)

    monkeypatch.setattr(templates, "strategy_templates", lambda: ["my.broken", *names])
    monkeypatch.setattr(templates, "strategy_for", strategy_for)
    document = cli.json("templates")
    assert [each["template_id"] for each in document["broken"]] == ["my.broken"]
    assert "jdbc.postgres" in [each["template_id"] for each in document["templates"]]
    assert "cannot be used: my.broken" in cli.run("templates")[1]


LISTS = [
    ["templates"],
    ["templates", "jdbc.postgres"],
    ["endpoints"],
    ["sinks"],
    ["units", "shop"],
    ["datasets", "list", "shop"],
    ["datasets", "show", "shop", "*"],
    ["preview", "shop", "*"],
    ["plan", "shop", "*"],
    ["status"],
    ["history"],
    ["quarantine", "list"],
    ["changes", "status"],
    ["token", "list"],
    ["alert", "list"],
    ["audit"],
    ["schema"],
    ["doctor", "--quick"],
    ["validate"],
    ["version"],
    ["--help"],
    ["run", "--help"],
]


@pytest.mark.slow
def test_lists_end_quietly_when_their_reader_has_closed_the_pipe(cli: InProcessCli) -> None:
    for arguments in LISTS:
        expected = cli.run(*arguments)[0]
        for more in ([], [] if "--help" in arguments else ["--json"]):
            with closed_stdout():
                code = cli.run(*arguments, *more)[0]
            assert (code, cli._capfd.readouterr().err) == (expected, ""), (arguments, more)


class closed_stdout:
    """Descriptor 1 is a pipe whose reader is gone, and `sys.stdout` a stream on it as in a process of its own."""

    def __enter__(self) -> None:
        sys.stdout.flush()
        self._kept, self._stdout = os.dup(1), sys.stdout
        read_end, write_end = os.pipe()
        os.close(read_end)
        os.dup2(write_end, 1)
        os.close(write_end)
        sys.stdout = pipes.open_stream(1, line_buffering=False, owns=False)

    def __exit__(self, *error: object) -> None:
        sys.stdout.flush()
        sys.stdout = self._stdout
        os.dup2(self._kept, 1)
        os.close(self._kept)


@pytest.mark.slow
def test_a_run_whose_progress_has_no_reader_ends_as_it_ends(cli: InProcessCli) -> None:
    """Its own process: the reader of stdout and stderr is gone before the first line."""
    read_end, write_end = os.pipe()
    os.close(read_end)
    with os.fdopen(write_end, "w") as gone:
        code = subprocess.run(
            [*COMMAND, "run", "shop"], cwd=cli.folder, stdout=gone, stderr=gone, timeout=120
        ).returncode
    assert code == 0
    assert cli.json("status", "shop", "orders")["units"][0]["state"] == "SUCCEEDED"
