"""Imports point one way: from surfaces down to the ground. Strategies import the ground, and the engine never imports a strategy."""

import ast
from functools import cache
from importlib import import_module
from pathlib import Path

from pydantic import BaseModel

ROOT = Path(__file__).parents[2]
ENGINE = ROOT / "ingest_ray"

# From the top to the ground; a module may import from its own layer and from the layers below it.
LAYERS = [
    {"cli", "graphql", "console", "server", "temporal", "library"},
    {"simulators"},
    {"service"},
    {"run", "payloads"},
    {"executors"},
    {"engine"},
    {"state"},
    {"core"},
    {
        "catalog",
        "kv",
        "staging",
        "cdm",
        "sinks",
        "http",
        "connections",
        "secrets",
        "quarantine",
        "config",
        "alerts",
        "telemetry",
    },
    {"files"},
    {"registry"},
    {"logs", "settings", "process", "machine_code"},
    {"sdk"},
]
STRATEGIES_MAY_USE = {"sdk", "machine_code", "settings", "registry", "http", "connections", "cdm"}


@cache
def imports(path: Path) -> frozenset[str]:
    names: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module and node.level == 0:
            names |= {node.module} | {f"{node.module}.{alias.name}" for alias in node.names}
    return frozenset(names)


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


def modules() -> dict[str, Path]:
    """Every module of the product by its dotted name."""
    found = {}
    for root in (ROOT, ROOT / "strategies"):
        for package in ("ingest_ray", "ingest_strategies"):
            for path in (root / package).rglob("*.py"):
                name = ".".join(path.relative_to(root).with_suffix("").parts)
                found[name.removesuffix(".__init__")] = path
    return found


def test_no_import_cycle_exists_not_even_for_types() -> None:
    """Imports inside functions and under TYPE_CHECKING count."""
    known = modules()
    graph = {}
    for name, path in known.items():
        used = imports(path) & known.keys()
        members = {one for one in used if any(other.startswith(f"{one}.") for other in used)}
        graph[name] = used - members - {name}  # `from package import module` is an import of the module
    cycles = [sorted(cycle) for cycle in strongly_connected(graph) if len(cycle) > 1]
    assert cycles == []


def strongly_connected(graph: dict[str, set[str]]) -> list[set[str]]:
    """Kosaraju's algorithm: depth first along the arrows, then against them in reverse order of finishing."""
    order: list[str] = []
    seen: set[str] = set()
    for root in graph:
        stack = [(root, iter(graph[root]))] if root not in seen else []
        seen.add(root)
        while stack:
            name, successors = stack[-1]
            following = next((other for other in successors if other not in seen), None)
            if following is None:
                order.append(name)
                stack.pop()
            else:
                seen.add(following)
                stack.append((following, iter(graph[following])))
    backwards: dict[str, set[str]] = {name: set() for name in graph}
    for name, successors in graph.items():
        for other in successors:
            backwards[other].add(name)
    components, placed = [], set()
    for root in reversed(order):
        if root in placed:
            continue
        component, pending = set(), [root]
        while pending:
            name = pending.pop()
            if name not in placed:
                placed.add(name)
                component.add(name)
                pending += backwards[name]
        components.append(component)
    return components


def test_cycles_are_found() -> None:
    graph = {"a": {"b"}, "b": {"c"}, "c": {"a", "d"}, "d": set()}
    assert sorted(map(sorted, strongly_connected(graph))) == [["a", "b", "c"], ["d"]]


def test_no_folder_has_more_than_twenty_modules() -> None:
    crowded = []
    for root in (ENGINE, ROOT / "strategies", ROOT / "tests"):
        for folder in [root, *(path for path in root.rglob("*") if path.is_dir())]:
            count = len([path for path in folder.glob("*.py") if path.name != "__init__.py"])
            if count > 20:
                crowded.append(f"{folder.relative_to(ROOT)}: {count}")
    assert crowded == []
