import logging
import os
from multiprocessing import get_context

import pytest
from channels.layers import channel_layers

from realtime_session import bus

LAYERS = {
    "default": {"BACKEND": "channels.layers.InMemoryChannelLayer"},
    "crossing": {"BACKEND": "tests.test_bus.RecordingLayer"},
    "broken": {"BACKEND": "tests.test_bus.BrokenLayer"},
}


class RecordingLayer:
    """Reaches other processes, as far as the bus can tell."""

    sent = []  # noqa: RUF012

    async def group_send(self, group, message):
        self.sent.append((group, message))


class BrokenLayer:
    async def group_send(self, group, message):
        raise ConnectionError("redis is away")


class Relay:
    def __init__(self):
        self.relayed = []

    def relay(self, sids):
        self.relayed.append(sids)


@pytest.fixture(autouse=True)
def layers(settings):
    settings.CHANNEL_LAYERS = LAYERS
    RecordingLayer.sent.clear()
    yield
    channel_layers.backends.clear()


@pytest.fixture
def use_layer(settings):
    def use_layer(alias):
        settings.REALTIME_SESSION = {"CHANNEL_LAYER": alias}

    return use_layer


@pytest.fixture
def heard():
    heard = []
    bus.listen(heard.append)
    yield heard
    bus.unlisten(heard.append)


@pytest.fixture
def relay():
    relay = Relay()
    bus.add_relay(relay)
    yield relay
    bus.remove_relay(relay)


def test_nudge_is_heard_in_this_process(heard):
    bus.nudge(sid for sid in "ab")
    assert heard == [["a", "b"]]


def test_nudge_is_heard_by_every_listener_until_it_leaves(heard):
    others = []
    bus.listen(others.append)
    bus.nudge(["a"])
    bus.unlisten(others.append)
    bus.nudge(["b"])
    assert others == [["a"]]
    assert heard == [["a"], ["b"]]


def test_layer_in_memory_reaches_no_other_process(heard, use_layer):
    assert bus.crossing_layer() is None
    use_layer("missing")
    assert bus.crossing_layer() is None
    bus.nudge(["a"])
    assert heard == [["a"]]


def test_nudge_goes_to_other_processes_over_a_layer_that_crosses(use_layer):
    use_layer("crossing")
    bus.nudge(["a", "b"])
    assert RecordingLayer.sent == [
        (
            "realtime-session",
            {"type": "realtime_session.nudge", "sids": ["a", "b"], "origin": bus.origin()},
        )
    ]


def test_relay_carries_the_nudge_instead(use_layer, relay):
    use_layer("crossing")
    bus.nudge(["a"])
    assert relay.relayed == [["a"]]
    assert RecordingLayer.sent == []


def test_one_relay_is_enough(relay):
    other = Relay()
    bus.add_relay(other)
    bus.nudge(["a"])
    bus.remove_relay(other)
    assert relay.relayed == [["a"]]
    assert other.relayed == []


async def test_nudge_within_an_event_loop_never_raises(use_layer, heard, caplog):
    # A thread with a running loop cannot wait for the layer.
    use_layer("crossing")
    bus.nudge(["a"])
    assert heard == [["a"]]
    assert "A nudge was not sent" in caplog.text


def test_layer_that_fails_is_logged_and_raises_nothing(use_layer, heard, caplog):
    use_layer("broken")
    bus.nudge(["a"])
    assert heard == [["a"]]
    assert [(r.levelno, r.getMessage()) for r in caplog.records] == [
        (logging.WARNING, "A nudge was not sent; other processes look by themselves.")
    ]


def test_group_name_is_one_that_every_layer_takes():
    assert bus.GROUP.replace("-", "").isalnum()
    assert len(bus.GROUP) < 100


def test_origin_is_the_same_in_a_process_and_another_in_its_fork():
    assert bus.origin() == bus.origin()
    with get_context("fork").Pool(1) as pool:
        assert pool.apply(bus.origin) != bus.origin()
    assert str(os.getpid()) in bus.origin()
