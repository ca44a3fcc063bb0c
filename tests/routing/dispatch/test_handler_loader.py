"""How a team's keyword functions are found."""

from __future__ import annotations

import sys
import textwrap
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from sms_router import Reply
from sms_router.errors import ConfigurationError
from sms_router.routing.dispatch.dispatcher import Dispatcher
from sms_router.routing.dispatch.handler_loader import HandlerRegistry
from sms_router.routing.dispatch.responders import HandlerResponder
from sms_router.routing.dispatch.rule_loader import load_rules
from tests.routing.messages import message

IMPORTS = "from sms_router import keyword\n"
Write = Callable[..., None]


@pytest.fixture
def write(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Write]:
    """Write modules of a team into a folder on the import path, and remove them afterwards."""
    before = set(sys.modules)
    monkeypatch.syspath_prepend(tmp_path)

    def written(**files: str) -> None:
        for name, content in files.items():
            path = tmp_path / f"{name.replace('__in__', '/')}.py"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(IMPORTS + textwrap.dedent(content))

    yield written
    for name in set(sys.modules) - before:
        del sys.modules[name]


def words(*names: str) -> list[tuple[str, ...]]:
    functions = HandlerRegistry.load(names)
    assert functions.errors == []
    return sorted(registration.words for registration, _ in functions.handlers)


def mistakes_of(*names: str) -> list[str]:
    return list(HandlerRegistry.load(names).errors)


def function(word: str) -> str:
    return f'@keyword("{word}")\ndef {word.lower()}():\n    return "{word}"\n'


def test_one_function_takes_reactions(write: Write) -> None:
    write(
        one="from sms_router import reaction\n@reaction\ndef liked(message): ...\n",
        two="from sms_router import reaction\n@reaction(deadline=3)\ndef loved(conversation): ...\n",
    )
    registry = HandlerRegistry.load(("one",))
    assert registry.on_reaction is not None
    assert registry.on_reaction.name == "liked"
    assert mistakes_of("one", "two") == [
        "two:3 loved: @reaction is also at one:3 liked",
        "two:3 loved: a reaction belongs to no conversation; do not declare it",
    ]


def test_several_functions_take_an_event(write: Write) -> None:
    write(
        one="from sms_router import on\n@on('opted_out', 'expired')\ndef first(event, log): ...\n",
        two="from sms_router import on\n@on('expired')\nasync def second(sms, contact): ...\n",
        three="from sms_router import on\n@on('expired')\ndef third(message): ...\n",
    )
    registry = HandlerRegistry.load(("one", "two"))
    names = {kind: [handler.name for handler in handlers] for kind, handlers in registry.on.items()}
    assert names == {"opted_out": ["first"], "expired": ["first", "second"]}
    assert mistakes_of("three") == [
        "three:3 third: the argument 'message' is unknown; a handler may declare event, contact, log, http,"
        " sms, handler, cancelled"
    ]


def test_a_module_outside_the_tree(write: Write) -> None:
    write(my_handlers=function("ONE") + function("TWO"))
    assert words("my_handlers") == [("ONE",), ("TWO",)]


def test_a_package_with_everything_below_it(write: Write) -> None:
    write(
        acme__in____init__="",
        acme__in__keywords=function("ONE"),
        acme__in__deep__in____init__=function("TWO"),
        acme__in__deep__in__deeper=function("THREE"),
    )
    assert words("acme") == [("ONE",), ("THREE",), ("TWO",)]
    assert words("acme.keywords") == [("ONE",)]


def test_a_folder_without_an_init_file(write: Write) -> None:
    write(bare__in__one=function("ONE"))
    assert words("bare") == [("ONE",)]


def test_a_program_in_a_package_is_not_run(write: Write) -> None:
    write(acme__in____init__=function("ONE"), acme__in____main__="raise SystemExit('started')")
    assert words("acme") == [("ONE",)]


def test_a_function_counts_once_however_often_it_is_found(write: Write) -> None:
    write(
        acme__in____init__="",
        acme__in__one=function("ONE"),
        acme__in__two="from acme.one import one\nalso = one\n",
    )
    assert words("acme", "acme.one", "acme") == [("ONE",)]


def test_functions_in_classes_are_found(write: Write) -> None:
    write(
        shop="""
        class Shop:
            @staticmethod
            @keyword("INNER")
            def inner(): ...

            @keyword("OUTER")
            @staticmethod
            def outer(): ...

            @classmethod
            @keyword("CLASS")
            def of_class(cls): ...
        """
    )
    assert words("shop") == [("CLASS",), ("INNER",), ("OUTER",)]


@pytest.mark.parametrize(
    "content",
    [
        """
        @keyword("ONE")
        async def _(): ...

        @keyword("TWO")
        async def _(): ...
        """,
        """
        for word in ("ONE", "TWO"):
            @keyword(word)
            async def reply(): ...
        """,
        """
        replies = [keyword(word)(lambda: "text") for word in ("ONE", "TWO")]
        """,
        """
        def audited(function):
            async def audit(): ...
            return audit

        @audited
        @keyword("ONE")
        async def one(): ...

        @audited
        @keyword("TWO")
        async def two(): ...
        """,
        """
        class Shop:
            async def reply(self): ...

        for word in ("ONE", "TWO"):
            keyword(word)(Shop().reply)
        """,
        """
        from shared import add

        add("ONE")
        add("TWO")
        """,
    ],
    ids=["same name", "loop", "list", "decorator without wraps", "bound method", "function elsewhere"],
)
def test_a_function_is_registered_when_its_decorator_runs(write: Write, content: str) -> None:
    write(shop=content, shared="def add(word):\n    keyword(word)(lambda: word)\n")
    assert words("shop") == [("ONE",), ("TWO",)]
    assert words("shop") == [("ONE",), ("TWO",)], "a second time, when nothing is imported"


def test_what_wraps_a_function_is_called_in_its_place(write: Write) -> None:
    write(
        shop="""
        from functools import wraps

        def shouted(function):
            @wraps(function)
            def shout(): return function().upper()
            return shout

        @shouted
        @keyword("ONE")
        def one(): return "one"
        """
    )
    ((_, handler),) = HandlerRegistry.load(("shop",)).handlers
    assert handler.function() == "ONE"


def test_a_renamed_step_is_found_by_its_earlier_names(write: Write) -> None:
    write(shop='from sms_router import step\n@step("place", was=["day", "town"])\ndef place(): ...\n')
    conversations = HandlerRegistry.load(("shop",)).conversations
    assert conversations is not None
    assert list(conversations.steps) == ["place", "day", "town"]


def test_a_method_is_refused_rather_than_ignored(write: Write) -> None:
    write(shop='class Shop:\n    @keyword("A")\n    def balance(self): ...\n')
    assert mistakes_of("shop") == [
        "shop:3 Shop.balance: is a method without its object; make it a function or a staticmethod"
    ]


LAZY = """
class Awkward:
    def __getattr__(self, name):
        raise RuntimeError(name)
    def __call__(self): ...

awkward = Awkward()
"""


def test_lazy_objects_are_left_alone(write: Write) -> None:
    write(lazy="from unittest.mock import call\n" + LAZY + function("ONE"))
    assert words("lazy") == [("ONE",)]


def test_names_that_do_not_exist_are_reported_with_the_remedy(write: Write) -> None:
    assert mistakes_of("acme.keywords") == [
        "handlers: acme.keywords cannot be imported: ModuleNotFoundError: No module named 'acme'; "
        "install it, or start where its folder is"
    ]


@pytest.mark.parametrize(
    ("file", "module"),
    [("texts.py", "texts"), ("./acme/texts.py", "acme.texts"), ("acme/texts", "acme.texts")],
)
def test_a_file_is_reported_with_the_name_of_its_module(file: str, module: str) -> None:
    assert mistakes_of(file) == [f"handlers: {file} is a file; name it as import does: {module}"]


@pytest.mark.parametrize(
    ("content", "cause"),
    [
        ("import no_such_library", "ModuleNotFoundError: No module named 'no_such_library'"),
        ("from sms_router import keywrd", "ImportError: cannot import name 'keywrd' from 'sms_router'"),
        ("1 / 0", "ZeroDivisionError: division by zero"),
        ("raise SystemExit('bye')", "SystemExit: bye"),
        ("keyword('A')(5)", "TypeError: @keyword stands above a function"),
        ("import json; json.loads('{')", "json.decoder.JSONDecodeError: Expecting property name"),
        ("from sms_router import Part; Part(media='x')", "ValueError: Part: media is a URL that begins"),
    ],
)
def test_the_real_cause_is_reported_with_its_place(
    write: Write, tmp_path: Path, content: str, cause: str
) -> None:
    write(broken=content)
    (mistake,) = mistakes_of("broken")
    assert mistake.startswith(f"handlers: broken cannot be imported: {cause}")
    assert mistake.endswith(f"({tmp_path / 'broken.py'}, line 2)")


def test_a_syntax_error_is_reported_with_its_line(write: Write, tmp_path: Path) -> None:
    write(broken="def f(:\n    pass\n")
    (mistake,) = mistakes_of("broken")
    place = tmp_path / "broken.py"
    assert mistake == f"handlers: broken cannot be imported: invalid syntax ({place}, line 2: def f(:)"


@pytest.mark.parametrize("name", ["", ".relative", "a b", "sys.path", "x" * 5000])
def test_unusual_names_are_reported(name: str) -> None:
    assert len(mistakes_of(name)) == 1


def test_all_mistakes_of_modules_are_reported_together(write: Write) -> None:
    write(
        acme__in____init__="",
        acme__in__one="import no_such_library",
        acme__in__two='@keyword("A")\ndef a(mesage): ...\n',
        acme__in__three="1 / 0",
    )
    assert len(mistakes_of("acme", "nowhere")) == 4


def test_a_deadline_belongs_to_its_keyword(write: Write) -> None:
    write(
        my_handlers="""
        @keyword("FAST", deadline=2)
        @keyword("SLOW")
        def both(): ...
        """
    )
    found = HandlerRegistry.load(("my_handlers",)).handlers
    assert {mistakes_of.words: handler.deadline for mistakes_of, handler in found} == {
        ("FAST",): 2,
        ("SLOW",): None,
    }


def test_middlewares_stand_around_every_handler_in_their_order(write: Write) -> None:
    write(
        my_handlers=function("ONE"),
        my_house="""
        async def outer(call_next): ...

        async def inner(call_next): ...
        """,
    )
    ((_, handler),) = HandlerRegistry.load(
        ("my_handlers",), None, ("my_house:outer", "my_house:inner")
    ).handlers
    assert [each.name for each in handler.middlewares] == ["outer", "inner"]


def test_middlewares_that_cannot_be_used_are_reported_together(write: Write) -> None:
    write(my_house="def plain(call_next): ...")
    names = ("my_house", "nowhere:timing", "my_house:timing", "my_house:plain")
    mistakes = HandlerRegistry.load((), None, names).errors
    assert [each.split(": ")[0] for each in mistakes] == ["middlewares"] * 4
    for mistake, part in zip(
        mistakes,
        ("acme.sms:timing", "nowhere cannot be imported", "no function 'timing'", "async"),
        strict=True,
    ):
        assert part in mistake


@pytest.mark.parametrize(
    ("toml", "texts"),
    [
        ("", ["any X", "only X"]),
        ('[default]\ndid_you_mean = "Did you mean {{ keyword }}?"\n', ["any X", "only X"]),
        (f'[default.services.MG{"3" * 32}]\nreply = "From the file."\n', ["any X", "only X"]),
        ('[default]\nreply = "From the file."\n', "shop:5 other: keywords.toml has a reply in [default] too"),
    ],
)
async def test_a_function_is_the_default_where_the_file_has_none(
    write: Write, tmp_path: Path, toml: str, texts: list[str] | str
) -> None:
    write(
        shop=f"""
        from sms_router import default

        @default()
        def other(argument): return f"any {{argument}}"

        @default(services=["MG{"1" * 32}"])
        def of_service(argument): return f"only {{argument}}"
        """
    )
    (tmp_path / "keywords.toml").write_text(toml)
    registry = HandlerRegistry.load(("shop",))

    def load() -> Dispatcher:
        return load_rules(tmp_path / "keywords.toml", tmp_path, registry, label="keywords.toml")

    if isinstance(texts, str):
        with pytest.raises(ConfigurationError) as error:
            load()
        assert error.value.mistakes[0].startswith(texts)
        return
    replies = []
    for sid in ("MG" + "2" * 32, "MG" + "1" * 32):
        text = replace(message("X"), service_sid=sid)
        responder = load().resolve(text).responder
        assert isinstance(responder, HandlerResponder)
        replies.append(await responder.run(text))
    assert replies == [Reply(text) for text in texts]
