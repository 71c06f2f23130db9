"""Imports go down only (design: one sentence, one direction). Reads the source, imports nothing.

A *unit* is a module of ``dod/`` or one of its packages. Imports that only type checkers see are
left out: they create no dependency when the product runs.
"""

import ast
import sys
import tomllib
from collections.abc import Iterator
from graphlib import CycleError, TopologicalSorter
from pathlib import Path
from typing import NamedTuple

import pytest

ROOT = Path(__file__).parent.parent

# From the bottom. A unit may import units of lower layers, and of its own without a cycle.
LAYERS: tuple[frozenset[str], ...] = tuple(
    frozenset(layer.split())
    for layer in (
        "errors texts logs",
        "ports messages",
        (
            "alerts authorities bell budget config editor heap http inotify lookups meter migrate "
            "noproxy notice ownfiles pace process proxies pulse quota reach running sockets "
            "status watch"
        ),
        "bridge dingtalk dify store",
        "doctor",
        "botthread",
        "fleet",
        "reloader",
        "appliance web",
        "cli sim supervise",
        "__main__",
    )
)
EDGES = frozenset({"dingtalk", "dify", "store"})
# These meet through the ports only.
APART = EDGES | {"bridge"}
# Every foreign library at one edge, so that it can be replaced there.
LIBRARIES: dict[str, frozenset[str]] = {
    "aiohappyeyeballs": frozenset({"sockets"}),
    "aiohttp": frozenset({"web", "sim"}),
    "dingtalk_stream": frozenset({"dingtalk"}),
    "diskcache": frozenset({"store"}),
    "httpcore": frozenset({"sockets"}),
    "httpx": frozenset({"authorities", "http", "dify", "dingtalk", "reach"}),
    "httpx_sse": frozenset({"dify"}),
    "idna": frozenset({"config"}),
    "jsonschema": frozenset({"config"}),
    "ruamel": frozenset({"config"}),
    "watchdog": frozenset({"inotify"}),
    "websockets": frozenset({"dingtalk"}),
}
ANYWHERE = frozenset({"dod", *sys.stdlib_module_names})


class Import(NamedTuple):
    module: str  # the one that imports, e.g. dod.bridge.turn
    line: int
    target: str  # what is imported, e.g. dod.ports or httpx
    in_function: bool

    def __str__(self) -> str:
        return f"{self.module}:{self.line} imports {self.target}"


def unit(module: str) -> str:
    """``dod.bridge.turn`` → ``bridge``; the package ``dod`` itself → empty."""
    return module.split(".")[1] if "." in module else ""


def layer(name: str) -> int | None:
    return next((n for n, units in enumerate(LAYERS) if name in units), None)


def read(root: Path) -> dict[str, list[Import]]:
    """All runtime imports of the package ``root/dod``, by module."""
    files: dict[str, Path] = {}
    for file in sorted((root / "dod").rglob("*.py")):
        parts = file.relative_to(root).with_suffix("").parts
        files[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = file
    return {
        module: list(_imports(module, file, frozenset(files))) for module, file in files.items()
    }


def _imports(module: str, file: Path, known: frozenset[str]) -> Iterator[Import]:
    tree = ast.parse(file.read_text(encoding="utf-8"))
    for node, in_function in _runtime(tree, in_function=False):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield Import(module, node.lineno, alias.name, in_function)
        elif isinstance(node, ast.ImportFrom):
            source = node.module or ""
            if node.level:
                package = module.split(".") if file.stem == "__init__" else module.split(".")[:-1]
                source = ".".join([*package[: len(package) + 1 - node.level], source]).strip(".")
            for alias in node.names:
                inner = f"{source}.{alias.name}"
                yield Import(module, node.lineno, inner if inner in known else source, in_function)


def _runtime(node: ast.AST, *, in_function: bool) -> Iterator[tuple[ast.AST, bool]]:
    """Every node that runs, with whether it does so inside a function."""
    yield node, in_function
    inside = in_function or isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda)
    children: list[ast.AST] = list(ast.iter_child_nodes(node))
    if isinstance(node, ast.If) and _only_for_types(node.test):
        children = list(node.orelse)
    for child in children:
        yield from _runtime(child, in_function=inside)


def _only_for_types(test: ast.expr) -> bool:
    name = test.attr if isinstance(test, ast.Attribute) else getattr(test, "id", "")
    return name == "TYPE_CHECKING"


def violations(root: Path) -> list[str]:
    """One sentence for each import that breaks a rule."""
    modules = read(root)
    found = [sentence for imports in modules.values() for sentence in _judge(imports)]
    found += [
        f"{module}: dod/{unit(module)} has no layer in tests/test_layers.py"
        for module in modules
        if unit(module) and layer(unit(module)) is None
    ]
    # Appliance alone knows both sides, as the composition root.
    for name in sorted({unit(module) for module in modules} - {"appliance", *APART}):
        targets = {
            unit(one.target)
            for module, imports in modules.items()
            if unit(module) == name
            for one in imports
            if one.target.startswith("dod.")
        }
        if "bridge" in targets and targets & EDGES:
            found.append(f"{name}: knows the bridge and an edge; only the appliance may")
    return found + _cycles(modules)


def _judge(imports: list[Import]) -> Iterator[str]:
    for one in imports:
        here, there = unit(one.module), unit(one.target)
        top = one.target.split(".")[0]
        if top != "dod":
            homes = LIBRARIES.get(top)
            if top not in ANYWHERE and homes is None:
                yield f"{one}: a library without a home in tests/test_layers.py"
            elif homes is not None and here not in homes:
                yield f"{one}: {top} belongs to {', '.join(sorted(homes))} only"
            continue
        if not there or here == there:  # dod itself holds the version only
            continue
        if not here:
            yield f"{one}: the package itself imports nothing"
            continue
        low, high = layer(there), layer(here)
        if there == "sim":
            if here != "cli" or not one.in_function:
                yield f"{one}: sim is imported by sim, and by cli inside a function"
        elif here == "sim" and there in APART:
            yield f"{one}: the simulators judge the edges and must not share their code"
        elif here in APART and there in APART:
            yield f"{one}: bridge and edges meet through the ports only"
        elif low is not None and high is not None and low > high:
            yield f"{one}: imports go down only"


def _cycles(modules: dict[str, list[Import]]) -> list[str]:
    graph = {
        module: {one.target for one in imports if one.target in modules and one.target != module}
        for module, imports in modules.items()
    }
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        return ["a cycle: " + " → ".join(reversed(error.args[1]))]
    return []


def test_imports_go_down_only() -> None:
    assert violations(ROOT) == []


def test_every_package_is_installed() -> None:
    """The tests run in the checkout, where a package that pyproject.toml forgets is there, too."""
    told = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))
    here = {".".join(file.parent.relative_to(ROOT).parts) for file in (ROOT / "dod").rglob("*.py")}
    assert sorted(told["tool"]["setuptools"]["packages"]) == sorted(here)


def test_the_imports_are_really_read() -> None:
    """A checker that finds no file would pass for ever."""
    modules = read(ROOT)
    assert {"dod.ports", "dod.bridge.turn", "dod.store.records", "dod.http"} <= set(modules)
    assert "diskcache" in {one.target for one in modules["dod.store.records"]}
    assert "dod.messages" in {one.target for one in modules["dod.ports"]}


def plant(root: Path, **files: str) -> Path:
    """A package ``dod``; ``bridge__turn`` is the file dod/bridge/turn.py."""
    for name, source in {"init": "", **files}.items():
        place = "__init__" if name == "init" else name.replace("__", "/")
        file = root / "dod" / f"{place}.py"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(source)
    return root


@pytest.mark.parametrize(
    ("files", "sentence"),
    [
        ({"errors": "import dod.ports"}, "imports go down only"),
        ({"budget": "from dod.bridge import turn"}, "imports go down only"),
        ({"fleet": "def f():\n    from dod import appliance\n", "appliance": ""}, "down only"),
        ({"bridge__turn": "from dod.dify.app import DifyApp"}, "through the ports only"),
        ({"dify__app": "from dod.dingtalk import api"}, "through the ports only"),
        ({"store__disk": "import dod.bridge.turn"}, "through the ports only"),
        ({"doctor": "import dod.bridge.bot\nimport dod.dify.app"}, "only the appliance may"),
        ({"appliance": "from dod.sim import demo", "sim__demo": ""}, "sim is imported by"),
        ({"cli": "from dod.sim import demo", "sim__demo": ""}, "sim is imported by"),
        ({"sim__dify": "from dod.dify import events"}, "must not share their code"),
        ({"bridge__turn": "import httpx"}, "httpx belongs to"),
        ({"config__document": "import diskcache"}, "diskcache belongs to store only"),
        ({"bridge__turn": "from websockets.asyncio.client import connect"}, "websockets belongs"),
        ({"http": "import requests"}, "a library without a home"),
        ({"helpers": ""}, "has no layer"),
        ({"ports": "import dod.messages", "messages": "import dod.ports"}, "a cycle"),
        ({"bridge__a": "from . import b", "bridge__b": "from .a import x"}, "a cycle"),
        ({"bridge__a": "from ..dify.app import x"}, "through the ports only"),
        ({"init": "import dod.cli"}, "the package itself imports nothing"),
        ({"errors": "try:\n    import dod.fleet\nexcept ImportError:\n    pass\n"}, "down only"),
        (
            {"errors": "if TYPE_CHECKING:\n    import typing\nelse:\n    import dod.fleet\n"},
            "down only",
        ),
    ],
)
def test_a_planted_violation_is_found(tmp_path: Path, files: dict[str, str], sentence: str) -> None:
    found = violations(plant(tmp_path, **files))
    assert any(sentence in line for line in found), found


def test_what_is_allowed_is_not_complained_about(tmp_path: Path) -> None:
    found = violations(
        plant(
            tmp_path,
            errors="import re",
            messages="import dod",
            ports="from dod.messages import Message",
            http="import httpx",
            bridge__turn="from dod.ports import Card\nfrom . import a\nimport dod.errors",
            bridge__a="if TYPE_CHECKING:\n    from dod.bridge import turn\n    import dod.fleet\n",
            dify__app="import httpx\nfrom dod import http",
            appliance="import dod.bridge.turn\nimport dod.dify.app\nfrom dod import web",
            web="import aiohttp",
            cli="def demo():\n    from dod.sim import demo\n",
            sim__demo="import aiohttp\nfrom dod.sim import x\nfrom dod import logs",
            sim__x="",
            logs="",
        )
    )
    assert found == []
