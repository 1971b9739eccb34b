"""The Redis store's connections, and the running of its plans on them.

Plans are run for threads by one client of the process, for event loops by one of each loop. Commands
whose connection broke are sent once more on a new one, as all of them are safe to repeat; what is not
answered in time is not asked again.
"""

import asyncio
import builtins
import threading
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import Any, TypeVar
from weakref import WeakKeyDictionary

from redis.exceptions import RedisError

from .epoch import Epoch
from .options import Options
from .scripts import Command
from .wire import ERRORS, Plan, Replies, Wire, shown, unavailable, wire

T = TypeVar("T")


class Clients:
    """What plans are run on."""

    def __init__(self, options: Options) -> None:
        self._options = options
        self.epoch = Epoch(by_address=options.is_cluster)
        self._of_process = _Sync(options, self.epoch)
        self._of_loop: WeakKeyDictionary[asyncio.AbstractEventLoop, _Async] = WeakKeyDictionary()

    def run(self, plan: Plan[T]) -> T:
        """Run a plan on this thread. Raises StoreUnavailable."""
        client = self._of_process
        try:
            with client.place():
                return client.run(wire(plan))
        except ERRORS as error:
            raise unavailable(error) from shown(error)

    async def arun(self, plan: Plan[T]) -> T:
        """Run a plan on the running event loop. Raises StoreUnavailable."""
        client = self._user()
        try:
            async with client.place():
                return await client.run(wire(plan))
        except ERRORS as error:
            raise unavailable(error) from shown(error)
        finally:
            await self._left(client)

    def start(self) -> None:
        """Keep the connections of the running loop until ``astop``."""
        self._user()

    async def astop(self) -> None:
        """Close the connections of the running loop, unless somebody else uses them."""
        client = self._of_loop.get(asyncio.get_running_loop())
        if client is not None:
            await self._left(client)

    def _user(self) -> "_Async":
        loop = asyncio.get_running_loop()
        client = self._of_loop.get(loop)
        if client is None:
            client = self._of_loop[loop] = _Async(self._options, self.epoch)
        client.users += 1
        return client

    async def _left(self, client: "_Async") -> None:
        client.users -= 1
        if not client.users:
            # Forgotten before the first await: whoever comes meanwhile gets another one.
            self._of_loop.pop(asyncio.get_running_loop(), None)
            await client.close()


class _Sync:
    """A process's client: any number of threads, each of which waits for one of the connections."""

    def __init__(self, options: Options, epoch: Epoch) -> None:
        self._options = options
        self._epoch = epoch
        self._places = threading.BoundedSemaphore(options.max_connections)
        self._lock = threading.Lock()
        self._client: Any = None

    @contextmanager
    def place(self) -> Iterator[None]:
        if not self._places.acquire(timeout=self._options.timeout):
            raise _NoPlaceError
        try:
            yield
        finally:
            self._places.release()

    def run(self, commands_of: Wire[T]) -> T:
        try:
            commands = next(commands_of)
            while True:
                try:
                    replies = self._exchange(commands)
                except ERRORS as error:
                    self._drop_idle()
                    commands = commands_of.throw(error)
                else:
                    commands = commands_of.send(replies)
        except StopIteration as end:
            return end.value  # type: ignore[no-any-return]

    def _exchange(self, commands: list[Command]) -> Replies:
        pipeline = self._connected().pipeline(transaction=False)
        for command in commands:
            pipeline.execute_command(*command)
        return pipeline.execute(raise_on_error=False)  # type: ignore[no-any-return]

    def _drop_idle(self) -> None:
        """Trust no other connection either after one broke."""
        if self._client is not None and not self._options.is_cluster:
            self._client.connection_pool.disconnect(inuse_connections=False)

    def _connected(self) -> Any:
        if self._client is None:
            # A Cluster's client asks for its nodes when it is made.
            if not self._lock.acquire(timeout=self._options.timeout):
                raise _NoPlaceError
            try:
                if self._client is None:
                    self._client = self._options.sync_client(self._epoch.on_connect)
            finally:
                self._lock.release()
        return self._client


class _Async:
    """An event loop's client; ``users`` are those who will leave it."""

    def __init__(self, options: Options, epoch: Epoch) -> None:
        self.users = 0
        self._options = options
        self._places = asyncio.Semaphore(options.max_connections)
        self._client, self._to_close = options.async_client(epoch.aon_connect)

    @asynccontextmanager
    async def place(self) -> AsyncIterator[None]:
        try:
            async with asyncio.timeout(self._options.timeout):
                await self._places.acquire()
        except builtins.TimeoutError:
            raise _NoPlaceError from None
        try:
            yield
        finally:
            self._places.release()

    async def run(self, commands_of: Wire[T]) -> T:
        try:
            commands = next(commands_of)
            while True:
                try:
                    replies = await self._exchange(commands)
                except ERRORS as error:
                    await self._drop_idle()
                    commands = commands_of.throw(error)
                else:
                    commands = commands_of.send(replies)
        except StopIteration as end:
            return end.value  # type: ignore[no-any-return]

    async def _exchange(self, commands: list[Command]) -> Replies:
        pipeline = self._client.pipeline(transaction=False)
        for command in commands:
            pipeline.execute_command(*command)
        return await pipeline.execute(raise_on_error=False)  # type: ignore[no-any-return]

    async def _drop_idle(self) -> None:
        """Trust no other connection either after one broke."""
        if not self._options.is_cluster:
            await self._client.connection_pool.disconnect(inuse_connections=False)

    async def close(self) -> None:
        for client in self._to_close:
            await client.aclose()


class _NoPlaceError(RedisError):
    """All connections were in use for too long."""
