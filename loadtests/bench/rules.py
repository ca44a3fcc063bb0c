"""What more rules cost: finding the one that answers, and reading a changed file, from 10 to 10,000.

``python -m loadtests.bench --part rules`` measures this alone, in half a minute.
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
    "one slip, µs",
    "none, µs",
    "kept, µs",
    "read ms",
)

_HERE = MatchContext("MG" + "0" * 32, "12345", "US", 0)
_DEFAULT = '[default]\nreply = "What?"\ndid_you_mean = "Did you mean {{ keyword }}?"\n'


@dataclass(frozen=True, slots=True)
class RulesGrowth:
    """The figures of one size: microseconds of CPU by the text, medians of the rounds."""

    rules: int
    first_word: float
    prefix: float
    pattern: float
    slip: float
    """A text that is one slip off, with its question; found by the dispatcher without what it keeps."""
    none: float
    """A text that no rule claims and that is near none: every index has been asked."""
    kept: float
    """A text that somebody has sent before, as most are."""
    read: float
    """Milliseconds from the file to rules that answer, off the event loop: what a reload takes."""


def measure(
    sizes: Sequence[int] = SIZES, texts: int = TEXTS, rounds: int = ROUNDS
) -> tuple[RulesGrowth, ...]:
    """Return the figures of each size; takes half a minute."""
    with tempfile.TemporaryDirectory() as folder:
        return tuple(_measured(size, texts, rounds, Path(folder, f"{size}.toml")) for size in sizes)


def show(figures: Sequence[RulesGrowth], rounds: int = ROUNDS) -> Table:
    """Return the table for the terminal."""
    return as_table(_cells(figures), f"rules that grow: medians of {rounds} rounds")


def write(figures: Sequence[RulesGrowth], day: date, rounds: int = ROUNDS) -> None:
    """Put the table into the README, between markers of its own."""
    told = f"Measured {day.isoformat()}: medians of {rounds} rounds over {TEXTS:,} texts."
    write_between_markers(README, f"{told}\n\n{as_markdown(_cells(figures))}", BEGIN, END)


def _measured(size: int, texts: int, rounds: int, file: Path) -> RulesGrowth:
    file.write_text(keywords_of(size))

    def read() -> Dispatcher:
        return load_rules(file, file.parent / "templates", HandlerRegistry([], []))

    dispatcher = read()
    gc.collect()
    gc.freeze()
    asked = range(texts)

    def found(written: Callable[[int], str], kind: str | None) -> float:
        """Find every text by the index alone, as the first of its kind would be."""
        bodies = [written(number % max(1, size // 4)) for number in asked]
        match = dispatcher.table.find(bodies[-1], _HERE)
        assert (match.rule.kind.value if isinstance(match, Match) else None) == kind
        return _median(lambda: [dispatcher.table.find(body, _HERE) for body in bodies], rounds) / texts * 1e6

    slips = [_message(f"wrd{_letters(number % max(1, size // 2))}", f"{number:05}") for number in asked]
    assert dispatcher.resolve(slips[0]).rule.startswith("did you mean")
    often = _message(f"word{_letters(0)} please")
    figures = RulesGrowth(
        size,
        found(lambda number: f"Word{_letters(number)}, please", "first-word"),
        found(lambda number: f"code{_letters(number)}x17", "prefix"),
        found(lambda number: f"Order{_letters(number)} 12345", "pattern"),
        _median(lambda: [dispatcher.resolve(slip) for slip in _anew(dispatcher, slips)], rounds)
        / texts
        * 1e6,
        found(lambda number: f"nobody claims text {number}", None),
        _median(lambda: [dispatcher.resolve(often) for _ in asked], rounds) / texts * 1e6,
        _median(read, 3) * 1e3,
    )
    gc.unfreeze()
    return figures


def _anew(dispatcher: Dispatcher, messages: Sequence[InboundMessage]) -> Sequence[InboundMessage]:
    """Return messages to a dispatcher that has forgotten what it found."""
    dispatcher.replace_rules(dispatcher)
    return messages


def _median(work: Callable[[], object], rounds: int) -> float:
    """Return the seconds of CPU that a piece of work takes."""
    taken = []
    for _ in range(rounds):
        begun = time.process_time()
        work()
        taken.append(time.process_time() - begun)
    return statistics.median(taken)


def keywords_of(size: int) -> str:
    """Write a keywords file: half of the rules are first words, a quarter prefixes, a quarter patterns."""
    words = [_table(f'["word{_letters(number)}"]', "first-word") for number in range(size - 2 * (size // 4))]
    prefixes = [_table(f'["code{_letters(number)}x"]', "prefix") for number in range(size // 4)]
    patterns = [_table(rf"['order{_letters(number)} (\d{{3,6}})']", "pattern") for number in range(size // 4)]
    return "\n".join([*words, *prefixes, *patterns, _DEFAULT])


def _table(words: str, match: str) -> str:
    return f'[[keyword]]\nwords = {words}\nmatch = "{match}"\nreply = "Here you are."\n'


def _letters(number: int) -> str:
    """Name a number by letters that are more than one slip from the next number's."""
    return "".join("abcdefghij"[int(digit)] * 2 for digit in f"{number:04}")


def _message(body: str, number: str = "12345") -> InboundMessage:
    sids = "SM" + "0" * 32, "AC" + "0" * 32, "MG" + "0" * 32
    return InboundMessage(*sids, "+14155550123", number, body, {})


def _cells(figures: Sequence[RulesGrowth]) -> Cells:
    return Cells(
        HEAD,
        tuple(
            (
                f"{each.rules:,}",
                f"{each.first_word:.1f}",
                f"{each.prefix:.1f}",
                f"{each.pattern:.1f}",
                f"{each.slip:.1f}",
                f"{each.none:.1f}",
                f"{each.kept:.1f}",
                f"{each.read:.0f}",
            )
            for each in figures
        ),
    )
