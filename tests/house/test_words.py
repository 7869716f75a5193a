"""Names in the code are words of the glossary or of the field: pictures that earlier versions used do not come back."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
GLOSSARY = (ROOT / "docs" / "glossary.md").read_text()
# Each was the name of several things, or a picture of one; what to write instead.
REFUSED = {
    "place": "installation, index, position, path or address",
    "crew": "executor",
    "desk": "unit_writer",
    "vigil": "server_watch",
    "errand": "run_options",
    "roster": "launch_catalog",
    "census": "key_scan",
    "doorkeeper": "authenticator",
    "told": "report, message, progress",
    "whoever": "the component",
}


def names(tree: ast.AST) -> Iterator[str]:
    """Names of classes, functions, parameters, variables and fields."""
    for node in ast.walk(tree):
        if isinstance(node, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            yield node.name
        elif isinstance(node, ast.arg):
            yield node.arg
        elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            yield node.id
        elif isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store):
            yield node.attr


def refused(name: str) -> str | None:
    parts = name.lower().strip("_").split("_")
    return next((part for part in parts if part in REFUSED), None)


def test_no_refused_word_names_anything() -> None:
    wrong = []
    for folder in ("ingest_ray", "strategies"):
        for path in sorted((ROOT / folder).rglob("*.py")):
            for name in names(ast.parse(path.read_text())):
                word = refused(name)
                if word is not None:
                    wrong.append(f"{path.relative_to(ROOT)}: '{name}' (write {REFUSED[word]})")
    assert wrong == []


@pytest.mark.parametrize("name", ["place", "_place", "place_of", "Desk", "has_told"])
def test_refused_words_are_found_inside_names(name: str) -> None:
    assert refused(name) is not None


@pytest.mark.parametrize("name", ["replace", "placement", "desktop"])
def test_other_words_are_not(name: str) -> None:
    assert refused(name) is None


def test_no_word_of_the_glossary_is_explained_twice() -> None:
    words = [
        line.split("|")[1].strip() for line in GLOSSARY.splitlines() if line.startswith("| ") and "---" not in line
    ]
    single = [word for entry in words if entry != "word" for word in entry.split(", ")]
    assert len(single) == len(set(single))
