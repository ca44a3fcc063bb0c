"""The clocks of Python, as a team's code reads them, set to the time of a test."""

from __future__ import annotations

import contextlib
import datetime
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

Places = list[tuple[dict[str, Any], str]]
"""Names in namespaces."""

_real = SimpleNamespace(**vars(time))


class _Meta(type):
    """Takes what is real for an instance."""

    def __instancecheck__(cls, instance: object) -> bool:
        return isinstance(instance, cls.__mro__[1])

    def __subclasscheck__(cls, subclass: type) -> bool:
        return issubclass(subclass, cls.__mro__[1])


class _FakeDate(datetime.date, metaclass=_Meta):
    """Makes real dates, with the test's ``today``."""

    def __new__(cls, *arguments: Any) -> Any:
        return datetime.date(*arguments)

    @classmethod
    def today(cls) -> Any:
        return datetime.date.fromtimestamp(time.time())


class _FakeDatetime(datetime.datetime, metaclass=_Meta):
    """Makes real datetimes, with the test's ``now``."""

    def __new__(cls, *arguments: Any, **named: Any) -> Any:
        return datetime.datetime(*arguments, **named)

    @classmethod
    def now(cls, tz: datetime.tzinfo | None = None) -> Any:
        return datetime.datetime.fromtimestamp(time.time(), tz)

    @classmethod
    def utcnow(cls) -> Any:
        return cls.now(datetime.UTC).replace(tzinfo=None)

    @classmethod
    def today(cls) -> Any:
        return cls.now()


_FAKES = {
    id(datetime.date): _FakeDate,
    id(datetime.datetime): _FakeDatetime,
    id(datetime): SimpleNamespace(**{**vars(datetime), "date": _FakeDate, "datetime": _FakeDatetime}),
}
"""By the id of what a team's module has."""


def places_of_datetime(root: Path) -> Places:
    """Return where the modules below a folder have ``datetime`` or ``date``; libraries there do not count."""
    return [
        (vars(module), name)
        for module in list(sys.modules.values())
        if (file := getattr(module, "__file__", None)) is not None
        and file.startswith(f"{root}/")
        and "site-packages" not in file
        and not module.__name__.startswith("sms_router")
        for name, value in list(vars(module).items())
        if id(value) in _FAKES
    ]


@contextlib.contextmanager
def faked_time(
    wall: Callable[[], float],
    steady: Callable[[], float],
    sleep: Callable[[float], None],
    places: Places,
) -> Iterator[None]:
    """Replace the functions of ``time`` in the whole process, and ``datetime`` in some places."""
    fakes: dict[str, Callable[..., Any]] = {
        "time": wall,
        "monotonic": steady,
        "sleep": sleep,
        "localtime": lambda seconds=None: _real.localtime(wall() if seconds is None else seconds),
        "gmtime": lambda seconds=None: _real.gmtime(wall() if seconds is None else seconds),
        "strftime": lambda form, moment=None: _real.strftime(form, moment or time.localtime()),
    }
    before = {name: vars(time)[name] for name in fakes}
    values = [(namespace, name, namespace[name]) for namespace, name in places]
    vars(time).update(fakes)
    for namespace, name, value in values:
        namespace[name] = _FAKES[id(value)]
    try:
        yield
    finally:
        vars(time).update(before)
        for namespace, name, value in values:
            namespace[name] = value
