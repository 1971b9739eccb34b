"""The project's channel layer, and what of it no interface says: how to have one alone, and how to end it."""

import asyncio
import math
from typing import Any
from weakref import WeakKeyDictionary

from channels.layers import InMemoryChannelLayer, channel_layers, get_channel_layer

from . import conf

RECEIVE_TIMEOUT = 2
"""Seconds for which a read of Redis waits until it is begun anew; half of ``socket_timeout`` if less.

redis-py gives up a connection that is silent for ``socket_timeout``, from its version 8 on for 5 s. Channels'
Redis layer waits for just as long, so that an idle channel raises TimeoutError, and may lose a message.
"""
CAPACITY = 5000
"""Messages that may wait for a busy process: the usual 100 are few when a command ends 2,000 sessions."""
CLOSE_TIMEOUT = 2.0

_own: WeakKeyDictionary[asyncio.AbstractEventLoop, dict[str, Any]] = WeakKeyDictionary()


def crossing_layer() -> Any | None:
    """Return the channel layer if it reaches other processes, else None."""
    alias = conf.current().channel_layer
    layer = None if alias is None else get_channel_layer(alias)
    return None if isinstance(layer, InMemoryChannelLayer) else layer


def own_layer() -> Any | None:
    """Return a layer as ``crossing_layer`` does, but one that is the running loop's; None if there is none.

    On the layer of the project's consumers only one loop of a process may receive, and an error reaches
    only one of several receivers. The loop keeps its layer for as long as it lives, since a Redis layer
    wraps the loop's ``close``.
    """
    alias = conf.current().channel_layer
    if crossing_layer() is None or alias is None:
        return None
    own = _own.setdefault(asyncio.get_running_loop(), {})
    if alias not in own:
        layer: Any = channel_layers.make_backend(alias)
        if hasattr(type(layer), "brpop_timeout"):
            timeouts = [host.get("socket_timeout") or math.inf for host in layer.hosts]
            layer.brpop_timeout = min(RECEIVE_TIMEOUT, *(timeout / 2 for timeout in timeouts))
        if hasattr(layer, "capacity"):
            layer.capacity = max(layer.capacity, CAPACITY)
        own[alias] = layer
    return own[alias]


def membership_lasts(layer: Any) -> float:
    """Return after how many seconds a channel has to be added to its group again."""
    return float(getattr(layer, "group_expiry", 86400))


def is_silence(error: Exception) -> bool:
    """Whether ``receive`` raised this as nothing came for ``socket_timeout``; redis-py has a class for it."""
    return isinstance(error, TimeoutError) or type(error).__name__ == "TimeoutError"


def forget_channels(layer: Any) -> None:
    """Have the pub/sub layer not unsubscribe when ``receive`` is cancelled: the connection may be gone."""
    if _is_pubsub(layer):
        layer.channels.clear()


async def close(layer: Any) -> None:
    """Close a loop's own layer: connections, tasks and what was not yet received. It can be used again.

    Never raises, and takes at most ``CLOSE_TIMEOUT`` seconds.
    """
    try:
        async with asyncio.timeout(CLOSE_TIMEOUT):
            if hasattr(type(layer), "close_pools"):
                for cleaner in layer.receive_cleaners:
                    cleaner.cancel()
                await layer.close_pools()
                layer.receive_buffer.clear()
            elif _is_pubsub(layer):
                # Closes its own connections only; other layers' flush deletes what everybody has sent.
                await layer.flush()
    except Exception:
        # It cannot be repaired: the next use makes another one.
        _own.pop(asyncio.get_running_loop(), None)


def _is_pubsub(layer: Any) -> bool:
    return any(each.__module__ == "channels_redis.pubsub" for each in type(layer).__mro__)
