import os
from multiprocessing import get_context

import pytest

from realtime_session import bus, channel_layer


class Relay:
    def __init__(self):
        self.relayed = []

    def relay(self, sids):
        self.relayed.append(sids)


class ClosedRelay:
    """As a link whose loop was closed without a word."""

    def relay(self, sids):
        raise RuntimeError("Event loop is closed")


@pytest.fixture
def heard():
    heard = []
    bus.listen(heard.append)
    yield heard
    bus.unlisten(heard.append)


@pytest.fixture
def add_relay():
    relays = []

    def add_relay(relay):
        bus.add_relay(relay)
        relays.append(relay)
        return relay

    yield add_relay
    for relay in relays:
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


@pytest.mark.parametrize("alias", ["default", "missing", None])
def test_layer_in_memory_or_none_reaches_no_other_process(heard, settings, alias):
    settings.REALTIME_SESSION = {"CHANNEL_LAYER": alias}
    assert channel_layer.crossing_layer() is None
    bus.nudge(["a"])
    assert heard == [["a"]]


def test_one_relay_is_enough(add_relay):
    first, second = add_relay(Relay()), add_relay(Relay())
    bus.nudge(["a"])
    assert first.relayed == [["a"]]
    assert second.relayed == []


def test_relay_whose_loop_is_closed_is_passed_over(add_relay):
    add_relay(ClosedRelay())
    second = add_relay(Relay())
    bus.nudge(["a"])
    assert second.relayed == [["a"]]


def test_layer_that_cannot_be_made_is_logged_and_raises_nothing(settings, heard, caplog):
    settings.CHANNEL_LAYERS = {"default": {"BACKEND": "nowhere.Layer"}}
    bus.nudge(["a"])
    assert heard == [["a"]]
    [said] = caplog.messages
    assert said.startswith("A nudge was not sent")
    assert said.endswith(": InvalidChannelLayerError")


def nudge_in_fork():
    """What a fork of a server process does when it nudges, and who carries it."""
    bus.nudge(["a"])
    return len(bus._relays), os.getpid()


def test_fork_leaves_the_relays_to_its_parent(add_relay):
    relay = add_relay(Relay())
    with get_context("fork").Pool(1) as pool:
        relays, pid = pool.apply(nudge_in_fork)
    assert pid != os.getpid()
    assert relays == 0
    assert relay.relayed == []
    bus.nudge(["b"])
    assert relay.relayed == [["b"]]
