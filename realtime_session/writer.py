"""Whose turn it is to send: many tabs in one task, as hardly any send has to wait."""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable

BURST = 50
"""Turns after which the event loop gets on with something else: with putting what was sent on the wire."""


class Writer:
    """Gives a turn to everybody who wants one, on the running event loop.

    A task for each would cost more than most of what is sent. So one task takes the turns, one after
    the other. If it has to wait in one of them, for a tab that reads slowly, it is left behind with that
    one, and another task goes on: there are never more tasks than slow tabs, and one.
    """

    def __init__(self) -> None:
        self._turns: deque[Callable[[], Awaitable[None]]] = deque()
        self._task: asyncio.Task[None] | None = None

    def want(self, turn: Callable[[], Awaitable[None]]) -> None:
        """Call ``turn`` soon. Whoever wants another one waits for the end of the first, so none can crowd."""
        self._turns.append(turn)
        if self._task is None:
            self._go_on()

    def _go_on(self) -> None:
        if not self._turns:
            self._task = None
            return
        self._task = asyncio.create_task(self._burst(), name="realtime-session-send")
        # The loop keeps the order: when this is called, the task has ended, or waits for a slow tab.
        asyncio.get_running_loop().call_soon(self._go_on)

    async def _burst(self) -> None:
        for _ in range(BURST):
            if not self._turns:
                return
            await self._turns.popleft()()
