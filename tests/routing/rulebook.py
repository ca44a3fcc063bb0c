"""Short ways to write rules in tests."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from app.routing.dispatch import Dispatcher, Forwards
from app.routing.loading import Functions
from app.routing.opt_out_words import OptOutWords
from app.routing.rule_file import read_rules
from app.routing.rules import MatchKind, Occasion, Rule, Scope
from app.routing.threads import Threads

WHOLE, FIRST_WORD, PREFIX, PATTERN = MatchKind
ANYWHERE = Scope()
SERVICE = "MG" + "0a" * 16
OTHER_SERVICE = "MG" + "0b" * 16
HERE = Occasion(SERVICE, "12345", "US")


def rule(
    *words: str,
    kind: MatchKind = FIRST_WORD,
    scope: Scope = ANYWHERE,
    name: str = "",
    fold_accents: bool = False,
) -> Rule[str]:
    """Make a rule whose answer is its name."""
    name = name or " ".join(words).lower()
    return Rule(words, kind, scope, name, name, f"keywords.toml, {name}", fold_accents)


def scope(services: str = "", numbers: str = "", countries: str = "") -> Scope:
    """Make a scope from values that are separated by blanks."""
    return Scope(frozenset(services.split()), frozenset(numbers.split()), frozenset(countries.split()))


def load_dispatcher(
    folder: Path,
    handlers: Sequence[str],
    threads: Threads,
    opt_outs: OptOutWords | None = None,
    forwards: Forwards | None = None,
) -> Dispatcher:
    """Load the rules of a folder and the functions of some modules, as a router does."""
    functions = Functions.load(handlers, threads)
    return read_rules(folder / "keywords.toml", folder / "templates", functions, opt_outs, forwards)
