"""`simulate`: sites to try ingestion on."""

import argparse
import os
from collections.abc import Sequence

import typer

from ingest_ray.cli.environment import is_true, variable_of
from ingest_ray.sdk.missing_packages import named_packages, require_package


def simulate(context: typer.Context) -> int:
    """Serve a simulated Jira or Confluence site on this machine, until it is stopped.

    \b
    Examples:
      ingest-ray simulate jira --issues 5000 --projects 10
      ingest-ray simulate confluence --mode dc --pages 10000 --trap rate-limit
      ingest-ray simulate --help
    """
    owner, extra = "a simulated site", "simulate"
    for package in ("uvicorn", "httptools"):  # else they are missed only after the site's address is printed
        require_package(package, owner, extra)
    with named_packages(owner, extra):
        from ingest_ray.simulators.atlassian import command_line

        options = command_line.parser()
        show_variables(options)
        return command_line.main(with_variables(options, context.args), options)


def show_variables(options: argparse.ArgumentParser) -> None:
    """`--help` names the variable of each option."""
    for option, name in _named(options):
        option.help = f"{option.help or ''} [env var: {_variable_of(name)}]".strip()


def with_variables(options: argparse.ArgumentParser, arguments: Sequence[str]) -> list[str]:
    """The arguments, behind those that variables of the environment give. A list has blanks between; the call replaces it."""
    given: list[str] = []
    for option, name in _named(options):
        text = os.environ.get(_variable_of(name), "")
        if not text or any(argument.partition("=")[0] == f"--{name}" for argument in arguments):
            continue
        if option.nargs == 0:
            given += [f"--{name}"] if is_true(text) else []
        else:
            given += [f"--{name}={part}" for part in (text.split() if option.nargs == "+" else [text])]
    return [*given, *arguments]


def _named(options: argparse.ArgumentParser) -> list[tuple[argparse.Action, str]]:
    return [
        (option, text.removeprefix("--"))
        for option in options._actions
        for text in option.option_strings
        if text.startswith("--") and text != "--help"
    ]


def _variable_of(name: str) -> str:
    return variable_of(("simulate",), name)
