"""What the handlers of one worker share: threads, connections, resources, values for each message."""

from __future__ import annotations

import inspect
from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass, field, replace
from functools import partial
from types import TracebackType
from typing import Any, Protocol

from sms_router.routing.handler.http_client import HandlerHttpClient
from sms_router.routing.handler.inspection import (
    ARGUMENTS,
    EVENT_ARGUMENTS,
    HandlerError,
    declared_arguments,
    is_async,
    name_and_source,
)
from sms_router.routing.handler.outbound import Sms
from sms_router.routing.handler.reply import HandlerForward, Reply
from sms_router.routing.handler.running_handlers import RunningHandlers
from sms_router.routing.handler.thread_pool import HandlerThreadPool
from sms_router.twilio.inbound import InboundMessage


@dataclass(frozen=True, slots=True, eq=False)
class Dependency:
    """A function that makes what handlers declare by a name: ``@lifespan`` or ``@provide``."""

    name: str
    source: str
    function: Callable[..., Any]
    arguments: tuple[str, ...]

    async def enter(
        self, arguments: Mapping[str, object], threads: HandlerThreadPool, stack: AsyncExitStack
    ) -> object:
        """Return what the function makes; what stands behind its ``yield`` runs when the stack is closed."""
        if inspect.isasyncgenfunction(self.function):
            return await stack.enter_async_context(asynccontextmanager(self.function)(**arguments))
        if is_async(self.function):
            return await self.function(**arguments)
        if not inspect.isgeneratorfunction(self.function):
            return await threads.run(partial(self.function, **arguments))
        manager = contextmanager(self.function)(**arguments)

        async def leave(
            kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
        ) -> bool:
            return bool(await threads.run(partial(manager.__exit__, kind, error, trace)))

        value = await threads.run(manager.__enter__)
        stack.push_async_exit(leave)
        return value


class ContactStore(Protocol):
    """Reads and stores what handlers set of contacts (`Contacts`)."""

    async def profile_of(self, message: InboundMessage) -> str: ...

    async def change_profile(self, message: InboundMessage, changes: Mapping[str, str | bool]) -> None: ...


@dataclass(slots=True, eq=False)
class HandlerEnvironment:
    """What is the same for all handlers of a worker.

    Attributes:
        threads: run plain functions.
        http_client: for handlers that declare ``http``.
        running: the handlers that run on the event loop.
        resources: what the functions with ``@lifespan`` have made, by name; none in commands.
        lifespans: make resources, in this order.
        providers: make values for one message.
        forward: calls another application and returns its reply; None where nothing is forwarded.
        passed_on: names that middlewares pass on to ``call_next``.
        address: finds out whether the parts of a reply may be sent to other people; leaves the others out.
        sms_for: sends messages that are no replies, for a requester and the message that it handles.
        contacts: stores what handlers set of contacts.

    """

    threads: HandlerThreadPool = field(default_factory=partial(HandlerThreadPool, 1))
    http_client: HandlerHttpClient = field(default_factory=HandlerHttpClient)
    running: RunningHandlers = field(default_factory=RunningHandlers)
    resources: dict[str, object] = field(default_factory=dict)
    lifespans: dict[str, Dependency] = field(default_factory=dict)
    providers: dict[str, Dependency] = field(default_factory=dict)
    passed_on: set[str] = field(default_factory=set)
    forward: Callable[[HandlerForward, InboundMessage], Awaitable[Reply]] | None = None
    address: Callable[[Reply, InboundMessage], Awaitable[Reply]] | None = None
    sms_for: Callable[[str, InboundMessage], Sms] | None = None
    contacts: ContactStore | None = None

    @property
    def names(self) -> list[str]:
        """What handlers may declare here beside `ARGUMENTS`."""
        return [*self.own, *sorted(self.passed_on)]

    @property
    def own(self) -> list[str]:
        return [*self.lifespans, *self.providers]

    def add(self, functions: Iterable[tuple[str, str, Callable[..., object]]]) -> Iterator[str]:
        """Add functions of ``@lifespan`` and ``@provide``, with kind and name; yield their mistakes."""
        checked = []
        for kind, name, function in functions:
            _, source = name_and_source(function)
            added = self.lifespans if kind == "lifespan" else self.providers
            other = self.lifespans.get(name) or self.providers.get(name)
            if name in (*ARGUMENTS, *EVENT_ARGUMENTS) or other is not None:
                place = f"at {other.source}" if other is not None else "an argument of every handler"
                yield f"{source}: the name {name!r} is also {place}; choose another one"
            elif kind == "lifespan" and not inspect.isasyncgenfunction(function):
                yield f"{source}: @lifespan stands above an async function that yields once"
            else:
                added[name] = Dependency(name, source, function, ())
                checked.append((kind, added, added[name]))
        before = ["http"]
        for kind, added, new in checked:
            others = before if kind == "lifespan" else self.names
            known = before if kind == "lifespan" else (*ARGUMENTS, *others)
            try:
                arguments = declared_arguments(new.function, new.source, known, others)
            except HandlerError as error:
                yield str(error)
                continue
            added[new.name] = replace(new, arguments=arguments)
            before += [new.name] if kind == "lifespan" else []

    async def start(self, stack: AsyncExitStack) -> None:
        """Watch the handlers, and make the resources; these are closed in reverse order with the stack.

        Raises:
            Exception: whatever a function of the team raises.

        """
        self.running.start()
        for dependency in self.lifespans.values():
            values = {name: self.value(name) for name in dependency.arguments}
            self.resources[dependency.name] = await dependency.enter(values, self.threads, stack)
            stack.callback(self.resources.pop, dependency.name)

    async def aclose(self) -> None:
        """Stop the threads and the connections."""
        self.running.close()
        await self.http_client.aclose()
        self.threads.close()

    def value(self, name: str) -> object:
        """Return a value that is the same for all messages.

        Raises:
            HandlerError: when there is none.

        """
        if name == "http" and name not in self.resources:
            return self.http_client.session()
        if name not in self.resources:
            raise HandlerError(f"{name!r} is not available: no middleware has passed it on, or it is closed")
        return self.resources[name]
