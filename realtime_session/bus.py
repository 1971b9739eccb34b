"""Nudges: "look again at these sessions", to every process that may hold their tabs.

A nudge carries sids and nothing else; what is true is in the store. So it does no harm if one is lost,
doubled or late. Inside the process it is a function call; between processes it is one message to one group
of the channel layer, which each process joins with a single channel.
"""

import atexit
from collections.abc import Callable, Iterable
from contextlib import suppress
from typing import Protocol

from . import metrics
from .channel_layer import crossing_layer
from .courier import Courier
from .forks import in_each_fork
from .logs import get_logger

logger = get_logger(__name__)


class Relay(Protocol):
    """What can carry a nudge to other processes without blocking: a link, on its own event loop."""

    def relay(self, sids: list[str]) -> None:
        """Send the nudge on; callable from any thread. Raises RuntimeError if its loop is closed."""


_listeners: list[Callable[[list[str]], None]] = []
_relays: list[Relay] = []
_courier = Courier()


def listen(listener: Callable[[list[str]], None]) -> None:
    """Call ``listener`` with the sids of every nudge that starts in this process, on any thread."""
    _listeners.append(listener)


def unlisten(listener: Callable[[list[str]], None]) -> None:
    """Take back ``listen``."""
    _listeners.remove(listener)


def add_relay(relay: Relay) -> None:
    """Let ``relay`` carry this process's nudges to others."""
    _relays.append(relay)


def remove_relay(relay: Relay) -> None:
    """Take back ``add_relay``."""
    _relays.remove(relay)


def nudge(sids: Iterable[str]) -> None:
    """Nudge this process, and the others; callable from any thread. Never raises.

    Where a link can carry it, this does not wait. Else see ``Courier.carry``: some 2 seconds at most.
    """
    wanted = list(sids)
    metrics.nudges["sent"].inc(len(wanted))
    tell_this_process(wanted)
    for relay in tuple(_relays):
        with suppress(RuntimeError):
            relay.relay(wanted)
            return
    try:
        if crossing_layer() is not None:
            _courier.carry(wanted)
    except Exception as error:
        logger.warning(
            "A nudge was not sent; other processes look by themselves: %s",
            type(error).__name__,
            extra={"event": "nudge_not_sent", "count": len(wanted), "error": type(error).__name__},
        )


def tell_this_process(sids: list[str]) -> None:
    """Pass a nudge to the listeners of this process."""
    for listener in tuple(_listeners):
        listener(sids)


@in_each_fork
def _begin_anew() -> None:
    global _courier
    _courier = Courier()
    _relays.clear()


atexit.register(lambda: _courier.finish())
