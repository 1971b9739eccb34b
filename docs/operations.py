"""The tables of the operations page: what the code logs and measures."""

import ast
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import realtime_session
from docs.tables import table
from docs.words import EVENTS
from realtime_session import metrics

PACKAGE = Path(realtime_session.__file__).parent
LEVELS = {
    "debug": "DEBUG",
    "info": "INFO",
    "warning": "WARNING",
    "error": "ERROR",
    "exception": "ERROR",
}


class Event(NamedTuple):
    """One call of a logger in the code."""

    name: str
    level: str
    logger: str
    fields: tuple[str, ...]


def events() -> Iterator[Event]:
    """Yield what every call of a logger in the package logs. Raises AssertionError for one without event."""
    for path in sorted(PACKAGE.rglob("*.py")):
        parts = path.relative_to(PACKAGE.parent).with_suffix("").parts
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if _is_log_call(node):
                yield _event(node, ".".join(parts))


def _is_log_call(node: ast.AST) -> bool:
    return (
        isinstance(node, ast.Call)
        and isinstance(node.func, ast.Attribute)
        and isinstance(node.func.value, ast.Name)
        and node.func.value.id == "logger"
        and node.func.attr in LEVELS
    )


def _event(call: ast.Call, logger: str) -> Event:
    place = f"{logger}, line {call.lineno}"
    extra = next((keyword.value for keyword in call.keywords if keyword.arg == "extra"), None)
    assert isinstance(extra, ast.Dict), f"{place}: logs without extra"
    fields = {key.value: value for key, value in zip(extra.keys, extra.values, strict=True)}
    assert isinstance(fields.get("event"), ast.Constant), f"{place}: logs without event"
    name = fields.pop("event").value
    return Event(name, LEVELS[call.func.attr], logger, tuple(fields))


def events_table() -> str:
    """Return every event, by the level at which it is logged."""
    found = sorted(
        set(events()),
        key=lambda event: (list(LEVELS.values())[::-1].index(event.level), event.name),
    )
    names = {event.name for event in found}
    assert names == set(EVENTS), names ^ set(EVENTS)
    return table(
        ("Level", "`event`", "Logger", "Further fields", "What it says"),
        (
            (
                event.level,
                f"`{event.name}`",
                f"`{event.logger}`",
                ", ".join(f"`{field}`" for field in event.fields),
                EVENTS[event.name],
            )
            for event in found
        ),
    )


def metrics_table() -> str:
    """Return every metric."""
    return table(
        ("Metric", "Type", "Label", "What it says"),
        (
            (
                f"`{each.name}`",
                each.kind,
                ", ".join(f"`{label}`" for label in each.labels),
                each.text,
            )
            for each in sorted(metrics.DESCRIPTIONS)
        ),
    )
