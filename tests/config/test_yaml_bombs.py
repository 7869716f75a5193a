"""Aliases of aliases, merges of merges and deep nesting end with an error that names the line, at once."""

import time
from pathlib import Path

import pytest

from ingest_ray.config import load_config
from ingest_ray.config.yaml_lines import Lines
from ingest_ray.sdk.errors import ConfigError


def laughs(levels: int, of: str) -> str:
    lines = ["a0: &a0 " + ("{x: 1, y: 2}" if of == "<<" else "[ha, ha]")]
    for n in range(1, levels):
        inner = ", ".join([f"*a{n - 1}"] * 9)
        lines.append(f"a{n}: &a{n} " + (f"{{<<: [{inner}]}}" if of == "<<" else f"[{inner}]"))
    return "\n".join(lines) + "\n"


@pytest.mark.parametrize("of", ["list", "<<"])
@pytest.mark.parametrize("levels", [9, 40])
def test_a_billion_laughs_are_refused_at_once(tmp_path: Path, of: str, levels: int) -> None:
    file = tmp_path / "ingest.yaml"
    file.write_text(laughs(levels, of))
    started = time.process_time()
    with pytest.raises(
        ConfigError, match=r"ingest\.yaml:\d+: with its aliases this stands for more than 200,000 values"
    ):
        load_config(file)
    assert time.process_time() - started < 5


def test_aliases_that_people_use_are_fine() -> None:
    text = "base: &base {mode: append, policy: {lag: 1s}}\nunits: [" + ", ".join(["*base"] * 2_000) + "]\n"
    assert len(Lines(text, "x").value["units"]) == 2_000


@pytest.mark.parametrize("text", ["a: &a [*a]\n", "a: &a {b: *a}\n", "a: &a [[[*a]]]\n"])
def test_an_alias_that_holds_itself_is_refused(text: str) -> None:
    with pytest.raises(ConfigError, match="an alias that holds itself"):
        Lines(text, "x")


@pytest.mark.slow
@pytest.mark.parametrize("text", ["[" * 5_000 + "]" * 5_000, "{a: " * 5_000 + "1" + "}" * 5_000])
def test_deep_nesting_is_refused(text: str) -> None:
    with pytest.raises(ConfigError):
        Lines(text, "x")
