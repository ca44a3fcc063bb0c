"""Short ways to write rules in tests."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from sms_router.routing.dispatch.dispatcher import Dispatcher, ForwardConfig
from sms_router.routing.dispatch.handler_loader import HandlerRegistry
from sms_router.routing.dispatch.rule_loader import load_rules
from sms_router.routing.handler.environment import HandlerEnvironment
from sms_router.routing.handler.thread_pool import HandlerThreadPool
from sms_router.routing.keywords.rules import MatchContext, MatchKind, Rule, Scope
from sms_router.routing.opt_outs.keywords import OptOutKeywords

WHOLE, FIRST_WORD, PREFIX, PATTERN = MatchKind
ANYWHERE = Scope()
SERVICE = "MG" + "0a" * 16
OTHER_SERVICE = "MG" + "0b" * 16
HERE = MatchContext(SERVICE, "12345", "US")


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
    threads: HandlerThreadPool,
    opt_outs: OptOutKeywords | None = None,
    forwards: ForwardConfig | None = None,
) -> Dispatcher:
    """Load the rules of a folder and the functions of some modules, as a router does."""
    functions = HandlerRegistry.load(handlers, HandlerEnvironment(threads))
    return load_rules(folder / "keywords.toml", folder / "templates", functions, opt_outs, forwards)
