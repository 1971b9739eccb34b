"""Nudges: "look again at these sessions", to every process that may hold their tabs.

A nudge carries sids and nothing else; what is true is in the store. So it does no harm if one is lost,
doubled or late. Inside the process it is a function call; between processes it is one message to one group
of the channel layer, which each process joins with a single channel.
"""

import asyncio
import logging
import os
import secrets
from collections.abc import Callable, Iterable
from typing import Any, Protocol

from asgiref.sync import async_to_sync
from channels.layers import InMemoryChannelLayer, get_channel_layer

from . import conf

logger = logging.getLogger(__name__)

GROUP = "realtime-session"
SEND_TIMEOUT = 2.0
"""Seconds for which a request may wait for a channel layer that does not answer."""
_token = secrets.token_hex(8)


class Relay(Protocol):
    """What can carry a nudge to other processes without blocking: a hub, on its own event loop."""

    def relay(self, sids: list[str]) -> None:
        """Send the nudge on; callable from any thread."""


_listeners: list[Callable[[list[str]], None]] = []
_relays: list[Relay] = []


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
    """Nudge this process, and the others; callable from any thread. Never raises."""
    wanted = list(sids)
    tell_this_process(wanted)
    for relay in tuple(_relays):
        relay.relay(wanted)
        return
    try:
        layer = crossing_layer()
        if layer is not None:
            async_to_sync(_send)(layer, wanted)
    except Exception:
        logger.warning("A nudge was not sent; other processes look by themselves.", exc_info=True)


async def _send(layer: Any, sids: list[str]) -> None:
    async with asyncio.timeout(SEND_TIMEOUT):
        await layer.group_send(GROUP, message(sids))


def tell_this_process(sids: list[str]) -> None:
    """Pass a nudge to the listeners of this process."""
    for listener in tuple(_listeners):
        listener(sids)


def crossing_layer() -> Any | None:
    """Return the channel layer if it reaches other processes, else None."""
    layer = get_channel_layer(conf.current().channel_layer)
    return None if isinstance(layer, InMemoryChannelLayer) else layer


def message(sids: list[str]) -> dict[str, Any]:
    """Return the channel layer message of a nudge."""
    return {"type": "realtime_session.nudge", "sids": sids, "origin": origin()}


def origin() -> str:
    """Return a name for this process, which a fork does not share."""
    return f"{_token}-{os.getpid()}"
