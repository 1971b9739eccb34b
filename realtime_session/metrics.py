"""What operators measure, through ``prometheus_client`` where it is installed; else counting does nothing.

Labels have few values, all of them known here, and none names a session or a person. What is counted often
is bound to its label once, so that counting costs a dictionary look-up and an addition.
"""

import os
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, NamedTuple

from .policy import EndReason, Record, Status
from .protocol import SERVER_MESSAGES, CloseCode

try:
    import prometheus_client as _prometheus
    from prometheus_client import exposition, multiprocess
except ImportError:
    _prometheus = None  # type: ignore[assignment]

IS_INSTALLED = _prometheus is not None
"""Whether anything is measured at all."""
SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
"""Bounds of the histograms' buckets. The protocol promises pushes within a second."""
DEADLINES = (EndReason.IDLE, EndReason.ABSOLUTE, EndReason.CLOSED)


class Description(NamedTuple):
    """One metric, as the documentation lists it."""

    name: str
    kind: str
    text: str
    labels: tuple[str, ...]


DESCRIPTIONS: list[Description] = []


class _Nothing:
    """Every metric where ``prometheus_client`` is not installed."""

    def labels(self, *values: str) -> "_Nothing":
        return self

    def inc(self, amount: float = 1) -> None:
        pass

    def dec(self, amount: float = 1) -> None:
        pass

    def observe(self, amount: float) -> None:
        pass


_NOTHING = _Nothing()


def _metric(kind: str, name: str, text: str, *labels: str, **options: Any) -> Any:
    name = f"realtime_session_{name}"
    DESCRIPTIONS.append(Description(name, kind.lower(), text, labels))
    if not IS_INSTALLED:
        return _NOTHING
    return getattr(_prometheus, kind)(name, text, labels, **options)


def _bound(metric: Any, values: Iterable[str]) -> dict[str, Any]:
    return {value: metric.labels(value) for value in values}


# Of several processes, only those that live count.
_live = {"multiprocess_mode": "livesum"}
_pushes = _metric("Counter", "pushes_total", "Messages that were sent to tabs.", "type")
_lateness = _metric(
    "Histogram", "push_lateness_seconds", "How long after its deadline a push began.", "type",
    buckets=SECONDS,
)  # fmt: skip
_connects = _metric(
    "Counter", "connects_total",
    "Sockets that came: `served`, `refused` for their Origin, `gone` meanwhile, or closed with a code.",
    "result",
)  # fmt: skip
_closes = _metric(
    "Counter", "closes_total",
    "Served sockets that went: closed by this app with a code, or `peer` where the browser or server did it.",
    "code",
)  # fmt: skip
_store_seconds = _metric(
    "Histogram", "store_call_seconds", "How long the store took to answer.", "operation",
    buckets=SECONDS,
)  # fmt: skip
_store_errors = _metric(
    "Counter", "store_errors_total", "Calls that the store did not answer.", "operation"
)
_nudges = _metric(
    "Counter",
    "nudges_total",
    "Sessions to be looked at: `sent` from here, `heard` from other processes.",
    "direction",
)
_ended = _metric(
    "Counter", "ended_total", "Sessions that ended; counted where it is done.", "reason"
)
_log_events = _metric(
    "Counter", "log_events_total", "What was logged at `warning` and above.", "level", "event"
)

open_tabs = _metric("Gauge", "open_tabs", "Tabs that are connected.", **_live)
held_sessions = _metric("Gauge", "held_sessions", "Sessions that these tabs belong to.", **_live)
started = _metric("Counter", "started_total", "Sessions that began to be monitored.")
ended = _bound(_ended, EndReason)
pushes: dict[type, Any] = {
    message: _pushes.labels(message.__struct_config__.tag) for message in SERVER_MESSAGES
}
"""By the message's class."""
lateness = _bound(_lateness, ("warning", "expired"))
connects = _bound(_connects, ("served", "refused", "gone", *(str(int(code)) for code in CloseCode)))
closes = _bound(_closes, ("peer", *(str(int(code)) for code in CloseCode)))
nudges = _bound(_nudges, ("sent", "heard"))


def pushed_warning(record: Record, status: Status) -> None:
    """Note how late a warning is."""
    lateness["warning"].observe(max(0.0, record.warn_limit - status.expires_in))


def pushed_end(record: Record, now: float) -> None:
    """Note how late an end is told that a deadline brought. ``now`` is the store's clock."""
    if record.end_reason in DEADLINES:
        lateness["expired"].observe(max(0.0, now - record.deadline_at))


def logged(level: str, event: str) -> None:
    """Count what was logged. Both are words of the code, never of its input."""
    _log_events.labels(level, event).inc()


class StoreCall:
    """Measures the calls of one operation of the store."""

    def __init__(self, operation: str) -> None:
        self._seconds = _store_seconds.labels(operation)
        self._errors = _store_errors.labels(operation)

    @contextmanager
    def measured(self) -> Iterator[None]:
        """Measure one call."""
        began_at = time.perf_counter()
        try:
            yield
        except Exception:
            self._errors.inc()
            raise
        finally:
            self._seconds.observe(time.perf_counter() - began_at)


def text(accept: str) -> tuple[bytes, str]:
    """Return all metrics of the process in a format that ``accept`` names, and the format's content type.

    With ``PROMETHEUS_MULTIPROC_DIR`` they are those of all processes that use that directory.
    """
    registry = _prometheus.REGISTRY
    if directory := os.environ.get("PROMETHEUS_MULTIPROC_DIR"):
        _forget_dead(Path(directory))
        registry = _prometheus.CollectorRegistry()
        multiprocess.MultiProcessCollector(registry)  # type: ignore[no-untyped-call]
    encode, content_type = exposition.choose_encoder(accept)
    return encode(registry), content_type


def _forget_dead(directory: Path) -> None:
    """Count no tabs of processes that died: no hook of ASGI servers tells of that."""
    for path in directory.glob("gauge_live*_*.db"):
        pid = int(path.stem.rpartition("_")[2])
        try:
            os.kill(pid, 0)
        except ProcessLookupError:
            with suppress(FileNotFoundError):
                multiprocess.mark_process_dead(pid)  # type: ignore[no-untyped-call]
        except PermissionError:
            continue
