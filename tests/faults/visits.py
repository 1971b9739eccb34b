"""People whose pages also ask for something over HTTP now and then, and who they are taken for."""

import asyncio
import itertools
from collections.abc import Sequence
from typing import NamedTuple

import httpx

PAUSE = 0.03
UNAVAILABLE = 503


class Visitor(NamedTuple):
    sid: str
    session_key: str


class Visits:
    """Asks on behalf of one visitor after the other, at one port after the other.

    ``refused`` counts the answers that the server cannot say now, which is honest. ``strangers`` are the
    sids of those who were taken for somebody not logged in.
    """

    def __init__(self, visitors: Sequence[Visitor], ports: Sequence[int]) -> None:
        self._visitors = visitors
        self._ports = ports
        self.answered = 0
        self.refused = 0
        self.strangers: list[str] = []

    async def run(self) -> None:
        places = itertools.cycle(self._ports)
        async with httpx.AsyncClient(timeout=30) as http:
            for visitor in itertools.cycle(self._visitors):
                await self._visit(http, visitor, next(places))
                await asyncio.sleep(PAUSE)

    async def _visit(self, http: httpx.AsyncClient, visitor: Visitor, port: int) -> None:
        cookie = {"Cookie": f"sessionid={visitor.session_key}"}
        try:
            answer = await http.get(f"http://127.0.0.1:{port}/whoami/", headers=cookie)
        except httpx.TransportError:
            return
        if answer.status_code == UNAVAILABLE:
            self.refused += 1
        elif answer.json()["user"]:
            self.answered += 1
        else:
            self.strangers.append(visitor.sid)
