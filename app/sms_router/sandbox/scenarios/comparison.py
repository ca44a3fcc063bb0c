"""What was expected, and what was seen: the differences in words."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import zip_longest

from sms_router.sandbox.inbound.incoming_text import Texted
from sms_router.sandbox.scenarios.scenario import Check, Misses, Shows
from sms_router.sandbox.state.alerts import DebuggerAlert


@dataclass(frozen=True, slots=True)
class Seen:
    """A message that a phone shows, or that did not reach it."""

    sid: str
    sender: str
    body: str
    media: tuple[str, ...] = ()
    status: str = ""
    error: int | None = None


@dataclass(frozen=True, slots=True)
class Situation:
    """What is new since it was looked at last; ``texted`` is the step's own text."""

    shown: Sequence[Seen] = ()
    missed: Sequence[Seen] = ()
    alerts: Sequence[DebuggerAlert] = ()
    texted: Texted | None = None


@dataclass(frozen=True, slots=True)
class Mismatch:
    """One thing that is not as it should be."""

    what: str
    expected: str
    got: str


def differences(check: Check, now: Situation) -> tuple[Mismatch, ...]:
    """Return everything in which the situation is not what the check wants, and what the debugger says."""
    found = tuple(_differences(check, now))
    untold = check.alerts is None and check.outcome is None
    if found and untold and now.alerts:
        return (*found, Mismatch("alerts", "none that no step expects", _told_alerts(now.alerts)))
    return found


def _differences(check: Check, now: Situation) -> Iterator[Mismatch]:
    if check.outcome and not (now.texted and now.texted.outcome is check.outcome):
        yield Mismatch("the webhook", check.outcome.value, _ended(now.texted))
    if check.shows is not None:
        for number, (shows, seen) in enumerate(zip_longest(check.shows, now.shown), 1):
            if shows is None or seen is None or not _fits(shows, seen):
                yield Mismatch(f"message {number} on {check.phone}", _wanted(shows), _told(seen))
    if check.undelivered is not None:
        for misses, seen in zip_longest(check.undelivered, now.missed):
            if misses is None or seen is None or not _missed_so(misses, seen):
                yield Mismatch(f"not delivered to {check.phone}", _wanted_missing(misses), _told(seen))
    if check.alerts is not None and check.alerts != tuple(alert.code for alert in now.alerts):
        yield Mismatch("alerts", _codes(check.alerts), _told_alerts(now.alerts))


def leftovers(phone: str, now: Situation) -> Iterator[Mismatch]:
    """Yield what nobody has asked about by the end."""
    for seen in now.shown:
        yield Mismatch(f"a message on {phone}", "nothing more", _told(seen))
    for seen in now.missed:
        yield Mismatch(f"not delivered to {phone}", "nothing more", _told(seen))
    if now.alerts:
        yield Mismatch("alerts", "none that no step expects", _told_alerts(now.alerts))


def _ended(texted: Texted | None) -> str:
    if texted is None:
        return "no text"
    failures = [f"{each.error_code} {each.reason}" for each in texted.exchanges if each.error_code]
    return f"{texted.outcome.value} ({'; '.join(failures)})" if failures else texted.outcome.value


def _fits(shows: Shows, seen: Seen) -> bool:
    return (
        shows.sender in (None, seen.sender)
        and shows.equals in (None, seen.body)
        and all(part in seen.body for part in shows.contains)
        and shows.media in (None, seen.media)
        and shows.status in (None, seen.status)
    )


def _missed_so(misses: Misses, seen: Seen) -> bool:
    return misses.error == seen.error and misses.sender in (None, seen.sender)


def _wanted(shows: Shows | None) -> str:
    if shows is None:
        return "nothing more"
    parts = [f"from {shows.sender}" if shows.sender else "", _says(shows)]
    parts += [f"contains {part!r}" for part in shows.contains]
    parts.append(f"media {', '.join(shows.media) or 'none'}" if shows.media is not None else "")
    parts.append(f"status {shows.status}" if shows.status else "")
    return ", ".join(filter(None, parts)) or "any message"


def _says(shows: Shows) -> str:
    return "" if shows.equals is None else f"says {shows.equals!r}"


def _wanted_missing(misses: Misses | None) -> str:
    if misses is None:
        return "nothing more"
    return f"{misses.error}" + (f" from {misses.sender}" if misses.sender else "")


def _told(seen: Seen | None) -> str:
    if seen is None:
        return "nothing"
    media = f", media {', '.join(seen.media)}" if seen.media else ""
    status = f", {seen.error}" if seen.error else f", status {seen.status}" if seen.status else ""
    return f"from {seen.sender}, says {seen.body!r}{media}{status}"


def _told_alerts(alerts: Sequence[DebuggerAlert]) -> str:
    return "; ".join(f"{alert.code} {alert.text}" for alert in alerts) or "none"


def _codes(codes: Sequence[int]) -> str:
    return ", ".join(map(str, codes)) or "none"
