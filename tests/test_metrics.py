"""What Prometheus reads of real servers."""

import asyncio
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import pytest
from django.test import RequestFactory, override_settings
from prometheus_client import REGISTRY
from prometheus_client.parser import text_string_to_metric_families

from docs.generate import OPERATIONS
from realtime_session import metrics
from realtime_session.policy import EndReason
from realtime_session.protocol import CloseCode
from realtime_session.stores import BaseStore, StoreUnavailable
from realtime_session.stores.memory import MemoryStore
from tests.servers import ROOT, Server, hear
from tests.test_readme import first_column
from tests.test_servers import close_code

Start = Callable[..., Server]
POLICY = {"IDLE_TIMEOUT": 3, "WARN_BEFORE": 1.5}

WITHOUT = """
import sys
sys.modules["prometheus_client"] = None
import django
django.setup()
from django.core.exceptions import ImproperlyConfigured
from django.test import RequestFactory
from realtime_session import metrics, views
from realtime_session.policy import EndReason
from realtime_session.stores.memory import MemoryStore

assert not metrics.IS_INSTALLED
metrics.open_tabs.inc()
metrics.open_tabs.dec()
metrics.ended[EndReason.IDLE].inc()
metrics.lateness["warning"].observe(1.0)
metrics.logged("error", "batch_failed")
assert MemoryStore().get(["sid"])[1] == {}
assert not hasattr(MemoryStore.get, "unmeasured")
try:
    views.metrics(RequestFactory().get("/"))
except ImproperlyConfigured as error:
    assert "prometheus_client" in str(error)
else:
    raise AssertionError
"""


class Reading:
    """The values of one scrape."""

    def __init__(self, server: Server) -> None:
        response = httpx.get(f"{server.url}/metrics/")
        assert response.status_code == 200
        self.text = response.text
        self._samples = {
            (sample.name, tuple(sample.labels.values())): sample.value
            for family in text_string_to_metric_families(response.text)
            for sample in family.samples
        }

    def __call__(self, name: str, *labels: str) -> float:
        return self._samples[f"realtime_session_{name}", labels]


async def eventually(holds: Callable[[], bool]) -> None:
    give_up_at = time.monotonic() + 5
    while not holds():
        assert time.monotonic() < give_up_at
        await asyncio.sleep(0.05)


async def test_server_tells_what_its_tabs_live_through(start: Start) -> None:
    server = start("uvicorn", POLICY)
    idle, leaver = server.browser().sign_in("anna"), server.browser().sign_in("ben")
    async with idle.tab() as one, idle.tab() as two, leaver.tab() as three:
        for tab in (one, two, three):
            await hear(tab)
        read = Reading(server)
        assert read("open_tabs") == 3
        assert read("held_sessions") == 2
        assert read("started_total") == 2
        assert read("connects_total", "served") == 3
        assert read("pushes_total", "state") == 3
        await asyncio.to_thread(leaver.post, "/logout/")
        assert (await hear(three))["type"] == "expired"
        assert (await hear(one))["type"] == "warning"
        assert (await hear(one))["reason"] == "idle"
    async with server.browser().tab() as nobody:
        assert await close_code(nobody) == 4401
    await eventually(lambda: Reading(server)("open_tabs") == 0)
    read = Reading(server)
    assert read("held_sessions") == 0
    assert read("closes_total", "4001") == 3
    assert read("connects_total", "4401") == 1
    assert read("pushes_total", "warning") == 2
    assert read("pushes_total", "expired") == 3
    assert read("ended_total", "idle") == read("ended_total", "logout") == 1
    for type in ("warning", "expired"):
        assert read("push_lateness_seconds_count", type) == 1
        assert 0 < read("push_lateness_seconds_sum", type) < 1
    assert read("store_call_seconds_count", "touch") > 0
    assert read("store_call_seconds_count", "end_due") > 0
    assert read("nudges_total", "sent") > 0
    for (sid,) in server.sql("SELECT sid FROM realtime_session_monitoredsession"):
        assert sid[:8] not in read.text


async def test_store_that_fails_shows(start: Start) -> None:
    server = start("daphne", {"IDLE_TIMEOUT": 600})
    browser = server.browser().sign_in()
    server.sql("ALTER TABLE realtime_session_monitoredsession RENAME TO lost")
    assert browser.http.get("/whoami/").status_code == 503
    read = Reading(server)
    assert read("store_errors_total", "touch") == 1
    assert read("log_events_total", "request_without_store", "warning") == 1


async def test_one_process_answers_for_all_and_not_for_those_that_died(
    start: Start, tmp_path: Path
) -> None:
    shared = tmp_path / "metrics"
    shared.mkdir()
    policy = {"IDLE_TIMEOUT": 600}
    one, two = (
        start(name, policy, PROMETHEUS_MULTIPROC_DIR=str(shared)) for name in ("daphne", "uvicorn")
    )
    here = one.browser().sign_in()
    there = two.browser()
    there.http.cookies = here.http.cookies
    async with here.tab() as tab, there.tab() as other:
        await hear(tab)
        await hear(other)
        for server in (one, two):
            assert Reading(server)("open_tabs") == 2
            assert Reading(server)("pushes_total", "state") == 2
        two.stop(signal.SIGKILL)
        assert Reading(one)("open_tabs") == 1
        # What it counted is true all the same.
        assert Reading(one)("pushes_total", "state") == 2


def test_without_the_library_nothing_is_counted_and_the_view_says_what_is_missing() -> None:
    environment = {"DJANGO_SETTINGS_MODULE": "tests.settings", "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-c", WITHOUT]
    done = subprocess.run(command, env=environment, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_store_is_measured_once_a_call_sync_or_async() -> None:
    class Failing(MemoryStore):
        def overdue(self, limit: int) -> list[str]:
            raise StoreUnavailable

    def count() -> float:
        labels = {"operation": "get"}
        return REGISTRY.get_sample_value("realtime_session_store_call_seconds_count", labels) or 0

    def errors() -> float:
        labels = {"operation": "overdue"}
        return REGISTRY.get_sample_value("realtime_session_store_errors_total", labels) or 0

    store, before, errors_before = Failing(), count(), errors()
    store.get([])
    assert count() == before + 1
    asyncio.run(store.aget([]))
    assert count() == before + 2
    with pytest.raises(StoreUnavailable):
        asyncio.run(store.aoverdue(1))
    assert errors() == errors_before + 1


def test_labels_are_bound_for_all_that_may_come() -> None:
    assert set(metrics.ended) == set(EndReason)
    assert {str(int(code)) for code in CloseCode} <= set(metrics.connects) & set(metrics.closes)
    operations = {name for name in vars(BaseStore) if f"a{name}" in vars(BaseStore)}
    assert {"open", "get", "touch", "end", "purge"} <= operations


def test_names_have_the_conventional_prefix_and_unit() -> None:
    for each in metrics.DESCRIPTIONS:
        assert each.name.startswith("realtime_session_")
        assert each.name.endswith("_total") == (each.kind == "counter")
        assert each.name.endswith("_seconds") == (each.kind == "histogram")
        assert not set(each.labels) & {"sid", "user", "user_id", "session"}


def test_alerts_ask_for_metrics_that_there_are() -> None:
    section = OPERATIONS.read_text().partition("**What to alert on**")[2].partition("\n## ")[0]
    queries = first_column(section)
    names = {each.name for each in metrics.DESCRIPTIONS}
    assert len(queries) == 6
    for query in queries:
        assert any(name in query for name in names), query


def test_view_of_the_documentation_lets_prometheus_alone_in() -> None:
    code = OPERATIONS.read_text().partition("## Metrics")[2].partition("```python\n")[2]
    names: dict[str, Any] = {}
    exec(code.partition("```")[0], names)
    view, request = names["metrics_for_prometheus"], RequestFactory().get
    with override_settings(METRICS_TOKEN="token"):
        assert view(request("/")).status_code == 403
        answer = view(request("/", headers={"Authorization": "Bearer token"}))
    assert answer.status_code == 200
    assert b"realtime_session_open_tabs" in answer.content
