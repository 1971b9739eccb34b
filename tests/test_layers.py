"""Imports point one way, and files stay small."""

import ast
from pathlib import Path

import pytest

import realtime_session

PACKAGE = Path(realtime_session.__file__).parent
# About 250, and a little room for the longest.
MAX_LINES = 280

# A module imports only from the layers above its own: never from a later one, nor from its neighbours.
LAYERS = [
    {
        "policy",
        "protocol",
        "scheduler",
        "threads",
        "models",
        "signals",
        "decorators",
        "forks",
        "writer",
    },
    {"metrics", "drain"},
    {"logs"},
    {"values", "tasks", "store_clock", "journal", "findings"},
    {"conf", "wording", "tab", "nudges"},
    {"stores", "channel_layer"},
    {"courier"},
    {"bus", "engine", "batcher", "presenter"},
    {"settling", "losses"},
    {"monitor", "looks", "link", "identity", "local_session", "handshake", "passivity", "answers"},
    {"logins", "sweeper", "restoration", "proof"},
    {"store_calls", "visit"},
    {"revalidator", "presence"},
    {"watch"},
    {"hub"},
    {
        "consumers",
        "health",
        "middleware",
        "views",
        "admin",
        "checks",
        "management",
        "templatetags",
    },
    {"routing", "urls", "health_urls"},
    {"apps"},
]
PURE = {"policy", "protocol", "scheduler"}


def sources():
    return [path for path in PACKAGE.rglob("*.py") if "migrations" not in path.parts]


def module_of(path):
    """The first part of a module's name within the package: stores are one module here."""
    return path.relative_to(PACKAGE).with_suffix("").parts[0]


def imports_of(path):
    """Full names of what a file imports, relative ones resolved."""
    package = ["realtime_session", *path.relative_to(PACKAGE).parent.parts]
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) - node.level + 1] if node.level else []
            name = ".".join([*base, *filter(None, [node.module])])
            yield from (f"{name}.{alias.name}" for alias in node.names)


def own_imports_of(path):
    """The modules of the package that a file imports, itself aside."""
    names = {
        name.split(".")[1] for name in imports_of(path) if name.startswith("realtime_session.")
    }
    return names - {module_of(path)}


def layer_of(module):
    [number] = [number for number, layer in enumerate(LAYERS) if module in layer]
    return number


@pytest.mark.parametrize("path", sources(), ids=lambda path: str(path.relative_to(PACKAGE)))
class TestEachFile:
    def test_imports_only_from_layers_before_its_own(self, path):
        if path == PACKAGE / "__init__.py":
            assert own_imports_of(path) == set()
            return
        own = layer_of(module_of(path))
        assert {name for name in own_imports_of(path) if layer_of(name) >= own} == set()

    def test_is_short_enough_to_be_read_at_once(self, path):
        assert len(path.read_text().splitlines()) <= MAX_LINES


def test_every_module_has_its_layer():
    assert {module_of(path) for path in sources()} - {"__init__"} == set().union(*LAYERS)


@pytest.mark.parametrize("module", sorted(PURE))
def test_pure_modules_know_nothing_of_django_the_package_or_the_clock(module):
    imported = {name.split(".")[0] for name in imports_of(PACKAGE / f"{module}.py")}
    assert not imported & {
        "realtime_session", "django", "channels", "asgiref", "asyncio", "time", "datetime",
        "threading", "logging", "os", "socket", "random",
    }  # fmt: skip


def test_only_conf_reads_the_settings_of_the_package():
    readers = {
        path.name
        for path in sources()
        for node in ast.walk(ast.parse(path.read_text()))
        if (isinstance(node, ast.Attribute) and node.attr == "REALTIME_SESSION")
        or (isinstance(node, ast.Constant) and node.value == "REALTIME_SESSION")
    }
    assert readers == {"conf.py"}


def test_only_the_consumer_and_the_routing_know_sockets():
    knowing = {
        module_of(path)
        for path in sources()
        for name in imports_of(path)
        if name.startswith("channels") and not name.startswith("channels.layers")
    }
    assert knowing == {"consumers"}


def test_nothing_is_imported_from_the_tests_or_the_demo():
    roots = {name.split(".")[0] for path in sources() for name in imports_of(path)}
    assert not roots & {"tests", "demo_site", "bench", "pytest"}
