"""The lookup of a rule and the loading of a file, with 10 to 10,000 rules.

``python -m loadtests.bench --part rules`` measures only this, in half a minute.
"""

from __future__ import annotations

import gc
import statistics
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path

from rich.table import Table

from loadtests.bench.report import Cells, as_markdown, as_table, write_between_markers
from sms_router.routing.dispatch.dispatcher import Dispatcher
from sms_router.routing.dispatch.handler_loader import HandlerRegistry
from sms_router.routing.dispatch.rule_loader import load_rules
from sms_router.routing.keywords.rules import Match, MatchContext
from sms_router.twilio.inbound import InboundMessage

README = Path(__file__).resolve().parents[1] / "README.md"
BEGIN = "<!-- rules:begin -->"
END = "<!-- rules:end -->"

SIZES = (10, 100, 1_000, 10_000)
TEXTS = 1_000
ROUNDS = 7
HEAD = (
    "rules",
    "first word, µs",
    "prefix, µs",
    "pattern, µs",
    "one mistake, µs",
    "none, µs",
    "cached, µs",
    "load ms",
)

_HERE = MatchContext("MG" + "0" * 32, "12345", "US", 0)
_DEFAULT = '[default]\nreply = "What?"\ndid_you_mean = "Did you mean {{ keyword }}?"\n'


@dataclass(frozen=True, slots=True)
class RuleFigures:
    """The figures of one size: medians in microseconds of CPU per text."""

    rules: int
    first_word: float
    prefix: float
    pattern: float
    mistake: float
    """A text with one typing mistake, answered with "did you mean ...?"; not in the dispatcher's cache."""
    none: float
    """A text that matches no rule and resembles none, so that every index is searched."""
    cached: float
    """A text that was sent before, as most are."""
    load: float
    """Milliseconds to load the file, off the event loop."""


def measure(
    sizes: Sequence[int] = SIZES, texts: int = TEXTS, rounds: int = ROUNDS
) -> tuple[RuleFigures, ...]:
    """Return the figures of each size; takes half a minute."""
    with tempfile.TemporaryDirectory() as folder:
        return tuple(_measure(size, texts, rounds, Path(folder, f"{size}.toml")) for size in sizes)


def show(figures: Sequence[RuleFigures], rounds: int = ROUNDS) -> Table:
    """Return the table for the terminal."""
    return as_table(_cells(figures), f"lookup by number of rules: medians of {rounds} rounds")


def write(figures: Sequence[RuleFigures], day: date, rounds: int = ROUNDS) -> None:
    """Write the table into the README."""
    description = f"Measured {day.isoformat()}: medians of {rounds} rounds over {TEXTS:,} texts."
    write_between_markers(README, f"{description}\n\n{as_markdown(_cells(figures))}", BEGIN, END)


def _measure(size: int, texts: int, rounds: int, file: Path) -> RuleFigures:
    file.write_text(keywords_of(size))

    def load() -> Dispatcher:
        return load_rules(file, file.parent / "templates", HandlerRegistry([], []))

    dispatcher = load()
    gc.collect()
    gc.freeze()
    indexes = range(texts)

    def time_lookup(write: Callable[[int], str], kind: str | None) -> float:
        """Return the time of one lookup without the cache."""
        bodies = [write(number % max(1, size // 4)) for number in indexes]
        match = dispatcher.table.find(bodies[-1], _HERE)
        assert (match.rule.kind.value if isinstance(match, Match) else None) == kind
        return _median(lambda: [dispatcher.table.find(body, _HERE) for body in bodies], rounds) / texts * 1e6

    mistakes = [_message(f"wrd{_letters(number % max(1, size // 2))}", f"{number:05}") for number in indexes]
    assert dispatcher.resolve(mistakes[0]).rule.startswith("did you mean")
    repeated = _message(f"word{_letters(0)} please")
    figures = RuleFigures(
        size,
        time_lookup(lambda number: f"Word{_letters(number)}, please", "first-word"),
        time_lookup(lambda number: f"code{_letters(number)}x17", "prefix"),
        time_lookup(lambda number: f"Order{_letters(number)} 12345", "pattern"),
        _median(
            lambda: [dispatcher.resolve(message) for message in _without_cache(dispatcher, mistakes)], rounds
        )
        / texts
        * 1e6,
        time_lookup(lambda number: f"no rule matches text {number}", None),
        _median(lambda: [dispatcher.resolve(repeated) for _ in indexes], rounds) / texts * 1e6,
        _median(load, 3) * 1e3,
    )
    gc.unfreeze()
    return figures


def _without_cache(dispatcher: Dispatcher, messages: Sequence[InboundMessage]) -> Sequence[InboundMessage]:
    """Empty the dispatcher's cache, and return the messages."""
    dispatcher.replace_rules(dispatcher)
    return messages


def _median(work: Callable[[], object], rounds: int) -> float:
    """Return the CPU seconds of ``work``."""
    seconds = []
    for _ in range(rounds):
        began = time.process_time()
        work()
        seconds.append(time.process_time() - began)
    return statistics.median(seconds)


def keywords_of(size: int) -> str:
    """Return a keywords file: half of the rules are first words, a quarter prefixes, a quarter patterns."""
    words = [_table(f'["word{_letters(number)}"]', "first-word") for number in range(size - 2 * (size // 4))]
    prefixes = [_table(f'["code{_letters(number)}x"]', "prefix") for number in range(size // 4)]
    patterns = [_table(rf"['order{_letters(number)} (\d{{3,6}})']", "pattern") for number in range(size // 4)]
    return "\n".join([*words, *prefixes, *patterns, _DEFAULT])


def _table(words: str, match: str) -> str:
    return f'[[keyword]]\nwords = {words}\nmatch = "{match}"\nreply = "Here you are."\n'


def _letters(number: int) -> str:
    """Return letters for a number that are more than one typing mistake from the next number's."""
    return "".join("abcdefghij"[int(digit)] * 2 for digit in f"{number:04}")


def _message(body: str, number: str = "12345") -> InboundMessage:
    sids = "SM" + "0" * 32, "AC" + "0" * 32, "MG" + "0" * 32
    return InboundMessage(*sids, "+14155550123", number, body, {})


def _cells(figures: Sequence[RuleFigures]) -> Cells:
    return Cells(
        HEAD,
        tuple(
            (
                f"{row.rules:,}",
                f"{row.first_word:.1f}",
                f"{row.prefix:.1f}",
                f"{row.pattern:.1f}",
                f"{row.mistake:.1f}",
                f"{row.none:.1f}",
                f"{row.cached:.1f}",
                f"{row.load:.0f}",
            )
            for row in figures
        ),
    )
