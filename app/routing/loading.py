"""How a team's keyword functions are found: modules and packages, imported by name."""

from __future__ import annotations

import importlib
import inspect
import pkgutil
import traceback
from collections.abc import Callable, Iterable, Iterator, Sequence
from types import FunctionType, ModuleType

from app.routing.handlers import Handler, HandlerError
from app.routing.registration import Registration, registrations_of
from app.routing.threads import Threads


def load_handlers(names: Sequence[str], threads: Threads) -> list[tuple[Registration, Handler]]:
    """Import the named modules and packages, and return every keyword function in them.

    Raises:
        HandlerError: with one line for each mistake.

    """
    mistakes: list[str] = []
    modules = {module.__name__: module for name in names for module in _modules(name, mistakes)}
    found: list[tuple[Registration, Handler]] = []
    for function in _marked_functions(modules.values()):
        try:
            handler = Handler.of(function, threads)
        except HandlerError as error:
            mistakes.append(str(error))
            continue
        found += [(registration, handler) for registration in registrations_of(function)]
    if mistakes:
        raise HandlerError("\n".join(mistakes))
    return found


def _modules(name: str, mistakes: list[str]) -> Iterator[ModuleType]:
    """Yield a module and, when it is a package, every module in it that is not a program."""
    module = _imported(name, mistakes)
    if module is None:
        return
    yield module
    for inner in pkgutil.iter_modules(getattr(module, "__path__", ()), f"{name}."):
        if not inner.name.endswith(".__main__"):
            yield from _modules(inner.name, mistakes)


def _imported(name: str, mistakes: list[str]) -> ModuleType | None:
    try:
        return importlib.import_module(name)
    except (Exception, SystemExit) as error:
        mistakes.append(f"handlers: {name} cannot be imported: {_cause(name, error)}")
        return None


def _cause(name: str, error: BaseException) -> str:
    """Say what went wrong in one line, and where in the team's own files."""
    cause = " ".join("".join(traceback.format_exception_only(error)).split())
    if isinstance(error, ModuleNotFoundError) and error.name and f"{name}.".startswith(f"{error.name}."):
        return f"{cause}; install it, or start where its folder is"
    frames = [
        frame
        for frame in traceback.extract_tb(error.__traceback__)
        if not frame.filename.startswith("<frozen importlib") and not frame.filename.endswith(_IMPORTERS)
    ]
    return f"{cause} ({frames[-1].filename}, line {frames[-1].lineno})" if frames else cause


_IMPORTERS = ("importlib/__init__.py", "app/routing/loading.py")


def _marked_functions(modules: Iterable[ModuleType]) -> Iterator[Callable[..., object]]:
    """Yield each marked function once, however many modules import it."""
    seen: dict[int, object] = {}
    for module in modules:
        for value in _values(module):
            if callable(value) and registrations_of(value) and id(value) not in seen:
                seen[id(value)] = value
                yield value


def _values(module: ModuleType) -> Iterator[object]:
    """Yield what a module holds, and the methods of the classes written in it."""
    for value in list(vars(module).values()):
        yield value
        if inspect.isclass(value) and value.__module__ == module.__name__:
            for name, inner in vars(value).items():
                if isinstance(inner, staticmethod) and registrations_of(inner):
                    yield inner
                elif isinstance(inner, staticmethod | classmethod | FunctionType):
                    yield getattr(value, name)
