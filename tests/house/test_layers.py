"""Imports point one way: from surfaces down to the ground. Strategies import the ground, and the engine never imports a strategy."""

import ast
from importlib import import_module
from pathlib import Path

from pydantic import BaseModel

ROOT = Path(__file__).parents[2]
ENGINE = ROOT / "ingest_ray"

# From the top to the ground; a module may import from its own layer and from the layers below it.
LAYERS = [
    {"cli", "graphql", "console", "server", "temporal"},
    {"simulators"},
    {"service"},
    {"run", "payloads"},
    {"executors"},
    {"engine"},
    {"state"},
    {"core"},
    {"catalog", "kv", "staging", "cdm", "sinks", "http", "secrets", "quarantine", "config"},
    {"files"},
    {"registry"},
    {"logs", "settings", "process"},
    {"sdk"},
]
STRATEGIES_MAY_USE = {"sdk", "settings", "registry", "http", "cdm"}


def imports(path: Path) -> set[str]:
    names = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module and node.level == 0:
            names |= {node.module} | {f"{node.module}.{alias.name}" for alias in node.names}
    return names


def engine_parts(path: Path) -> set[str]:
    """The second part of every `ingest_ray.<part>` that a file imports, where there is such a module."""
    parts = {name.split(".")[1] for name in imports(path) if name.startswith("ingest_ray.")}
    return {part for part in parts if (ENGINE / part).is_dir() or (ENGINE / f"{part}.py").exists()}


def layer_of(part: str) -> int:
    for depth, layer in enumerate(LAYERS):
        if part in layer:
            return depth
    raise AssertionError(f"'ingest_ray.{part}' has no layer: add it to `LAYERS`")


def test_the_engine_imports_only_downwards() -> None:
    wrong = []
    for path in sorted(ENGINE.rglob("*.py")):
        part = path.relative_to(ENGINE).parts[0].removesuffix(".py")
        if part in ("testing", "simulators", "__init__"):
            continue
        wrong += [
            f"{path.relative_to(ROOT)} imports {used}" for used in engine_parts(path) if layer_of(used) < layer_of(part)
        ]
    assert wrong == []


def test_the_engine_never_imports_a_strategy() -> None:
    wrong = [
        str(path)
        for path in ENGINE.rglob("*.py")
        if any(name.split(".")[0] == "ingest_strategies" for name in imports(path))
    ]
    assert wrong == []


def test_strategies_import_only_the_ground() -> None:
    wrong = []
    for path in sorted((ROOT / "strategies").rglob("*.py")):
        wrong += [f"{path.relative_to(ROOT)} imports {used}" for used in engine_parts(path) - STRATEGIES_MAY_USE]
    assert wrong == []


def test_only_the_ray_executor_imports_ray() -> None:
    wrong = []
    for path in ENGINE.rglob("*.py"):
        relative_path = path.relative_to(ENGINE).as_posix()
        if relative_path.startswith(("executors/ray/", "testing/")) or relative_path == "run/ray_attempt.py":
            continue
        if any(name.split(".")[0] == "ray" for name in imports(path)):
            wrong.append(relative_path)
    assert wrong == []


def test_surfaces_reach_catalog_and_state_only_through_use_cases() -> None:
    """They may import the documents that use cases return (pydantic models), and nothing else from those folders."""
    wrong = []
    for path in [path for part in sorted(LAYERS[0]) for path in sorted((ENGINE / part).rglob("*.py"))]:
        name = path.relative_to(ROOT)
        text = path.read_text()
        wrong += [
            f"{name} opens a transaction" for call in (".catalog.begin(", ".catalog.read(", ".kv.") if call in text
        ]
        for node in ast.walk(ast.parse(text)):
            if isinstance(node, ast.Import):
                wrong += [f"{name} imports {alias.name}" for alias in node.names if is_storage(alias.name)]
            elif isinstance(node, ast.ImportFrom) and is_storage(node.module or ""):
                wrong += [
                    f"{name} imports {node.module}.{alias.name}"
                    for alias in node.names
                    if not is_document(node.module or "", alias.name)
                ]
    assert wrong == []


def is_storage(module: str) -> bool:
    return module.startswith(("ingest_ray.catalog", "ingest_ray.kv", "ingest_ray.state"))


def is_document(module: str, name: str) -> bool:
    found = getattr(import_module(module), name, None)
    return isinstance(found, type) and issubclass(found, BaseModel)
