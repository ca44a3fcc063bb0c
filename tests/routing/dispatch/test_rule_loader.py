"""``keywords.toml`` and handler modules, together and as a whole."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from sms_router import Reply
from sms_router.errors import ConfigurationError
from sms_router.routing.dispatch.dispatcher import Dispatcher, ForwardConfig
from sms_router.routing.dispatch.responders import HandlerResponder, TemplateResponder
from sms_router.routing.handler.thread_pool import HandlerThreadPool
from tests.places import without_place
from tests.routing.messages import message
from tests.routing.rules import load_dispatcher

MG = "MG" + "0a" * 16
EXAMPLE = f"""
[[keyword]]
words = ["HOURS", "OPEN"]
match = "first-word"
reply = "We are open 9 to 5, {{{{ message.from_city or 'friend' }}}}."
services = ["{MG}"]
numbers = ["12345"]
countries = ["US"]

[[keyword]]
words = ["MENU"]
template = "menu.txt"
media = ["https://example.com/menu.png"]

[default]
reply = "Text HOURS, MENU or VOTE."
"""

Load = Callable[..., Dispatcher]
MistakesOf = Callable[..., list[str]]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "templates").mkdir()
    (tmp_path / "templates" / "menu.txt").write_text("Soup: 5\n")
    return tmp_path


@pytest.fixture
def load(folder: Path) -> Load:
    def loaded(content: str, *handlers: str) -> Dispatcher:
        (folder / "keywords.toml").write_text(content)
        return load_dispatcher(folder, handlers, HandlerThreadPool(1))

    return loaded


@pytest.fixture
def mistakes_of(load: Load, folder: Path) -> MistakesOf:
    def mistakes(content: str, *handlers: str) -> list[str]:
        with pytest.raises(ConfigurationError) as caught:
            load(content, *handlers)
        return [without_place(mistake.replace(f"{folder}/", "")) for mistake in caught.value.mistakes]

    return mistakes


@pytest.fixture
def team(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[str], None]]:
    """Write the team's handler module, ``team_handlers``."""
    monkeypatch.syspath_prepend(folder)

    def written(content: str) -> None:
        (folder / "team_handlers.py").write_text("from sms_router import keyword\n" + content)

    yield written
    sys.modules.pop("team_handlers", None)


def reply(dispatcher: Dispatcher, body: str, **parameters: str) -> Reply:
    incoming = message(body, service=MG, **parameters)
    action = dispatcher.resolve(incoming).responder
    assert isinstance(action, TemplateResponder)
    answer = action.reply(incoming)
    assert isinstance(answer, Reply)
    return answer


def keyword(**values: str) -> str:
    """Write one ``[[keyword]]`` that is right but for the values given, in TOML."""
    right = {"words": '["HOURS"]', "reply": '"9 to 5"'}
    return "[[keyword]]\n" + "\n".join(f"{key} = {value}" for key, value in (right | values).items() if value)


URL = 'url = "https://votes.example.com/sms"'


def forward(table: str, reply: str = "") -> str:
    """Write a ``[[keyword]]`` that forwards."""
    return keyword(reply=reply, forward=f"{{ {table} }}")


def test_the_example_loads(load: Load) -> None:
    rules = load(EXAMPLE)
    assert reply(rules, "open?", FromCity="OSLO").text == "We are open 9 to 5, OSLO."
    assert reply(rules, "Menu") == Reply("Soup: 5", ("https://example.com/menu.png",))
    assert reply(rules, "anything").text == "Text HOURS, MENU or VOTE."
    assert reply(rules, "HOURS", FromCountry="CA").text == "Text HOURS, MENU or VOTE.", "another country"


def test_a_service_may_have_a_default_of_its_own(load: Load) -> None:
    rules = load(f'[default]\nreply = "all"\n[default.services.{MG}]\nreply = "its own"')
    assert reply(rules, "anything").text == "its own"
    found = rules.resolve(message("anything", service="MG" + "0b" * 16))
    assert isinstance(found.responder, TemplateResponder)
    assert found.responder.reply(message()) == Reply("all")
    assert reply(load(f'[default.services.{MG}]\nreply = "its own"'), "anything").text == "its own"


def test_a_keyword_with_a_typing_mistake_may_be_suggested(load: Load) -> None:
    rules = load(keyword() + '\n[default]\nreply = "?"\ndid_you_mean = "Did you mean {{ keyword }}?"')
    assert reply(rules, "huors").text == "Did you mean HOURS?"
    assert reply(rules, "huors today").text == "?"
    assert reply(load(keyword() + '\n[default]\nreply = "?"'), "huors").text == "?"


def test_hours_are_read_as_one_window_or_several(load: Load) -> None:
    (rule,) = load(keyword(hours='{ days = ["mon-fri"], from = "09:00", to = "17:00" }')).table.rules
    assert str(rule.scope) == "mon-fri 09:00-17:00"
    (rule,) = load(keyword(hours='[{ days = ["sat"] }, { from = "22:00", to = "06:00" }]')).table.rules
    assert str(rule.scope) == "sat 00:00-24:00, every day 22:00-06:00"


def test_functions_have_hours_and_patterns_too(load: Load, team: Callable[[str], None]) -> None:
    team('@keyword(r"code (\\d+)", match="pattern", hours={"days": ["sun"]})\ndef code(): ...\n')
    rules = load("", "team_handlers")
    assert str(rules.table.rules[0].scope) == "sun 00:00-24:00"
    action = rules.resolve(message("Code 12"), 3 * 86_400).responder  # 4 January 1970, a Sunday
    assert isinstance(action, HandlerResponder)
    assert action.argument == "12"
    assert isinstance(rules.resolve(message("Code 12"), 0).responder, TemplateResponder)


@pytest.mark.parametrize(
    ("pattern", "reason"),
    [
        ("(a)\\\\1", "invalid escape sequence"),
        ("(?=a)", "look-around and back references are not supported"),
        ("[a", "missing ]"),
        ("a{1001}", "invalid repetition size"),
        ("((a{100}){100}){100}", "repetition size"),
        ("[a-z]{900}(x|y){900}(z|w){900}", "is too large: "),
        ("a" * 1600, "it has more than 1600 characters"),
    ],
)
def test_a_pattern_that_cannot_be_used_is_reported_with_the_reason(
    mistakes_of: MistakesOf, pattern: str, reason: str
) -> None:
    (sentence,) = mistakes_of(keyword(words=f'["{pattern}"]', match='"pattern"'))
    assert "(keywords.toml) is invalid: " in sentence
    assert reason in sentence


def test_a_missing_file_has_no_rules_which_is_warned_of(
    folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    rules = load_dispatcher(folder, (), HandlerThreadPool(1))
    assert rules.table.rules == ()
    assert reply(rules, "HOURS").is_silent
    (warning,) = caplog.messages
    assert warning.startswith(f"{folder / 'keywords.toml'} is missing: texts that no @keyword function takes")


@pytest.mark.parametrize("content", ["", "# nothing yet\n", "keyword = []\n"])
def test_an_empty_file_is_warned_of(load: Load, content: str, caplog: pytest.LogCaptureFixture) -> None:
    load(content)
    (warning,) = caplog.messages
    assert "keywords.toml is empty: texts that no @keyword function takes get no reply" in warning


def test_a_file_with_an_answer_is_not_warned_of(load: Load, caplog: pytest.LogCaptureFixture) -> None:
    load('[default]\nreply = "Text HOURS."')
    load(keyword())
    assert caplog.messages == []


def test_the_configuration_that_comes_along_loads() -> None:
    config = Path(__file__).parents[3] / "config"
    rules = load_dispatcher(config, ("handlers",), HandlerThreadPool(1))
    assert {"HOURS", "MENU", "ECHO"} <= {rule.name for rule in rules.table.rules}


@pytest.mark.parametrize(
    ("kind", "matching", "other"),
    [
        ("whole", "hours!", "hours today"),
        ("first-word", "hours today", "hoursday"),
        ("prefix", "hours9", "hour"),
        ("pattern", "Hours!", "hours today"),
    ],
)
def test_each_kind_of_match(load: Load, kind: str, matching: str, other: str) -> None:
    rules = load(keyword(match=f'"{kind}"'))
    assert reply(rules, matching).text == "9 to 5"
    assert reply(rules, other).is_silent


def test_accents_are_folded_by_choice(load: Load) -> None:
    assert reply(load(keyword(words='["MENÚ"]')), "menu").is_silent
    assert reply(load(keyword(words='["MENÚ"]', fold_accents="true")), "menu").text == "9 to 5"


def test_media_alone_is_an_answer(load: Load) -> None:
    rules = load(keyword(reply="", media='["https://a.example/b.png"]'))
    assert reply(rules, "HOURS") == Reply("", ("https://a.example/b.png",))


def test_the_default_may_be_a_template(load: Load) -> None:
    assert reply(load('[default]\ntemplate = "menu.txt"'), "anything").text == "Soup: 5"


def test_countries_may_be_written_small(load: Load) -> None:
    assert reply(load(keyword(countries='["us"]')), "HOURS").text == "9 to 5"


def test_rules_are_named_for_people(load: Load, folder: Path, team: Callable[[str], None]) -> None:
    team('\n@keyword("BALANCE", "BAL")\ndef balance(): ...\n')
    rules = load(keyword(), "team_handlers").table.rules
    assert [str(rule) for rule in rules] == [
        f"HOURS ({folder}/keywords.toml, keyword 1)",
        "BALANCE (team_handlers:3 balance)",
    ]


def test_a_function_is_a_rule(load: Load, team: Callable[[str], None]) -> None:
    team('@keyword("BALANCE", match="whole", countries=["us"])\ndef balance(): ...\n')
    rules = load("", "team_handlers")
    found = rules.resolve(message("balance"))
    assert isinstance(found.responder, HandlerResponder)
    assert found.rule == "BALANCE"
    assert isinstance(rules.resolve(message("balance please")).responder, TemplateResponder), (
        "not the whole message"
    )
    assert isinstance(rules.resolve(message("balance", FromCountry="CA")).responder, TemplateResponder), (
        "another country"
    )


@pytest.mark.parametrize(
    ("content", "mistake"),
    [
        (keyword(reply=""), "keyword 1 (HOURS): give it a reply, a template or a forward, and only one"),
        (
            keyword(template='"menu.txt"'),
            "keyword 1 (HOURS): give it a reply, a template or a forward, and only one",
        ),
        (keyword(reply='" "'), "keyword 1 (HOURS): reply is empty; write the text of the reply"),
        (keyword(reply="", template='"none.txt"'), "template none.txt: there is no such file in templates"),
        (keyword(reply='"{{ nam }}"'), "keyword 1 (HOURS): nam is unknown; a template may use "),
        (keyword(reply='"{{ words"'), "keyword 1 (HOURS), line 1: unexpected end of template"),
        (keyword(media='["menu.png"]'), "keyword 1 (HOURS): media: 'menu.png' is no URL"),
        (keyword(media=str(["https://a.example"] * 11)), "keyword 1 (HOURS): media: a message carries 10"),
        (keyword(media='"https://a.example"'), 'keyword[1].media: must be a list in brackets, like ["this"]'),
        (keyword(words='"HOURS"'), 'keyword[1].words: must be a list in brackets, like ["this"]'),
        (keyword(words="[]"), "keyword[1].words: must not be empty"),
        (keyword(words="[1]"), 'keyword[1].words[1]: must be text in quotes, like "this"'),
        (keyword(words=""), 'keyword[1].words: is missing; add words = ["..."]'),
        (keyword(rply='"a"'), "keyword[1].rply: unknown key; did you mean reply?"),
        (keyword(hours='"9 to 5"'), 'keyword[1].hours: must be like { days = ["mon-fri"], from = "09'),
        (keyword(hours="{ form = 1 }"), "keyword[1].hours[1].form: unknown key; did you mean from?"),
        (keyword(hours="{ from = 9 }"), 'keyword[1].hours[1].from: must be text in quotes, like "this"'),
        (
            '[default]\nreply = "a"\n[default.services.MG1]\nreply = "b"',
            "default.services: 'MG1' should be MG",
        ),
        (f"[default.services.{MG}]", f"default.services.{MG}: give it a reply, a template or a"),
        (
            '[default]\ndid_you_mean = " "',
            "default.did_you_mean: reply is empty; write the text of the reply",
        ),
        (keyword(fold_accents='"often"'), "keyword[1].fold_accents: must be a valid boolean"),
        (keyword().replace("[[keyword]]", "[keyword]"), "keyword: must be a list of tables; write [["),
        ("[[keywords]]", "keywords: unknown key; did you mean keyword?"),
        ("[default]", "default: give it a reply, a template or a forward, and only one"),
        ('[default]\nwords = ["A"]', "default.words: unknown key; known ones are did_you_"),
        ('[default]\nreply = ""', "default: reply is empty; write the text of the reply"),
        (forward(""), 'keyword[1].forward.url: is missing; add url = "..."'),
        (forward('url = "votes.example.com"'), "keyword[1].forward.url: must begin with https:// or http://"),
        (forward('url = "https://a.example/a b"'), "keyword[1].forward.url: must have no blanks (write %20)"),
        (forward('url = "https://a.example:0/"'), "keyword[1].forward.url: has no host that can be called"),
        (forward('url = "https://a.example:x/"'), "keyword[1].forward.url: has a wrong port"),
        (forward(f'{URL}, method = "PUT"'), "keyword[1].forward.method: must be 'GET' or 'POST'"),
        (forward(f'{URL}, fallback_url = "file:///x"'), "keyword[1].forward.fallback_url: must begin with"),
        (forward(f'{URL}, fallback_method = "GET"'), "keyword[1].forward: has a fallback_method and no"),
        (
            forward(f'{URL}, redirect_hosts = ["https://b"]'),
            "keyword[1].forward.redirect_hosts[1]: must be a h",
        ),
        (forward(f"{URL}, timeout = 20"), "keyword[1].forward.timeout: must be less than or equal to 15"),
        (
            forward(f'{URL}, falback_url = "x"'),
            "keyword[1].forward.falback_url: unknown key; did you mean fal",
        ),
        (forward(URL, '"text"'), "keyword 1 (HOURS): give it a reply, a template or a forward, and only one"),
        ("[[keyword]", "not valid TOML"),
    ],
)
def test_a_mistake_names_the_file_the_rule_and_the_remedy(
    mistakes_of: MistakesOf, content: str, mistake: str
) -> None:
    (sentence,) = mistakes_of(content)
    assert sentence.startswith(f"keywords.toml: {mistake}")


@pytest.mark.parametrize(
    ("content", "mistake"),
    [
        (keyword(match='"frist-word"'), 'match = "frist-word" is unknown; use whole, first-word, prefix'),
        (keyword(hours='{ days = ["mo"] }'), 'hours: days: "mo" should be a day like "mon", or several like'),
        (keyword(hours='[{}, { from = "9" }]'), 'hours: from: "9" should be a time from "00:00" to "24:00"'),
        (keyword(countries='["USA"]'), "countries: 'USA' should be two letters like US (ISO 3166)"),
        (keyword(services='["demo"]'), "services: 'demo' should be MG and 32 hex digits"),
        (keyword(numbers='["+1 415"]'), "numbers: '+1 415' should be a short code or a number like +14155"),
    ],
)
def test_rules_that_could_never_match_are_reported(
    mistakes_of: MistakesOf, content: str, mistake: str
) -> None:
    (sentence,) = mistakes_of(content)
    assert sentence.startswith(f"keywords.toml: keyword 1 (HOURS): {mistake}")


@pytest.mark.parametrize("word", ["", " ", "\\u200b"])
def test_a_word_of_which_nothing_is_left_is_reported(mistakes_of: MistakesOf, word: str) -> None:
    (sentence,) = mistakes_of(keyword(words=f'["HOURS", "{word}"]'))
    assert "of HOURS (keywords.toml) is empty: write a letter, a digit or a symbol" in sentence


def test_a_conflict_names_both_rules_and_files(mistakes_of: MistakesOf, team: Callable[[str], None]) -> None:
    team('@keyword("hours")\ndef opening_hours(): ...\n')
    (sentence,) = mistakes_of(keyword(), "team_handlers")
    assert "of hours (team_handlers:2 opening_hours)" in sentence
    assert "by HOURS (keywords.toml)" in sentence
    assert sentence.endswith("give one of them another keyword, kind of match or scope")


def test_the_same_word_in_another_scope_is_no_conflict(load: Load) -> None:
    rules = load(keyword() + "\n" + keyword(countries='["CA"]', reply='"Canada"'))
    assert reply(rules, "HOURS").text == "9 to 5"
    assert reply(rules, "HOURS", FromCountry="CA").text == "Canada"


@pytest.mark.parametrize(
    ("content", "mistake"),
    [
        ('@keyword("A", match="regex")\ndef a(): ...\n', 'team_handlers:2 a: match = "regex" is unknown'),
        ('@keyword("A", hours={"to": "9"})\ndef a(): ...\n', 'team_handlers:2 a: hours: to: "9" should be a'),
        (
            '@keyword("A", hours={"day": "mon"})\ndef a(): ...\n',
            "team_handlers:2 a: hours: day: unknown key; did",
        ),
        ('@keyword("A", countries=["USA"])\ndef a(): ...\n', "team_handlers:2 a: countries: 'USA' should be"),
        ('@keyword("A")\ndef a(mesage): ...\n', "team_handlers:2 a: the argument 'mesage' is unknown"),
        ("import no_such_library", "handlers: team_handlers cannot be imported: ModuleNotFoundError"),
    ],
)
def test_a_mistake_in_a_function_names_it(
    mistakes_of: MistakesOf, team: Callable[[str], None], content: str, mistake: str
) -> None:
    team(content)
    (sentence,) = mistakes_of("", "team_handlers")
    assert sentence.startswith(mistake)


def test_all_mistakes_are_reported_at_once(mistakes_of: MistakesOf, team: Callable[[str], None]) -> None:
    team('@keyword("B")\ndef b(mesage): ...\n')
    content = "\n".join(
        (keyword(reply=""), keyword(words='["A"]', match='"x"'), keyword(words='["A"]'), "[default]")
    )
    assert len(mistakes_of(content, "team_handlers")) == 5


VALUES = st.recursive(
    st.sampled_from(["HOURS", "", "whole", "{{ a", "\u0000", "menu.txt", "US"])
    | st.integers()
    | st.booleans(),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.sampled_from(["url", "words"]), inner),
    max_leaves=4,
)
TABLES = st.dictionaries(
    st.sampled_from(
        [
            "words",
            "match",
            "reply",
            "template",
            "media",
            "forward",
            "numbers",
            "countries",
            "fold_accents",
            "hours",
        ]
    ),
    VALUES,
)


@given(
    st.fixed_dictionaries(
        {}, optional={"keyword": st.lists(TABLES, max_size=3) | VALUES, "default": TABLES | VALUES}
    )
)
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_tables_are_rules_or_mistakes(folder: Path, tables: dict[str, object]) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("sms_router.routing.dispatch.rule_loader.read_toml", lambda _: tables)
        try:
            load_dispatcher(folder, (), HandlerThreadPool(1))
        except ConfigurationError as error:
            assert all(error.mistakes)


@pytest.mark.parametrize(
    ("url", "mistakes"),
    [
        ("https://sms.example.com/sms", 1),
        ("https://user@SMS.example.com:443/sms/fallback?x=y", 1),
        ("https://sms.example.com/votes", 0),
        ("https://votes.example.com/sms", 0),
    ],
)
def test_nothing_is_forwarded_in_a_circle(folder: Path, url: str, mistakes: int) -> None:
    (folder / "keywords.toml").write_text(forward(f'url = "{url}"'))
    forwards = ForwardConfig(public_url="https://sms.example.com")
    mistakes_of: list[str] = []
    try:
        load_dispatcher(folder, (), HandlerThreadPool(1), forwards=forwards)
    except ConfigurationError as error:
        mistakes_of += error.mistakes
    assert len(mistakes_of) == mistakes
    assert all(
        "keyword 1 (HOURS): forward.url is this router; name the" in mistake for mistake in mistakes_of
    )


def test_all_mistakes_are_reported_at_once_with_their_places(load: Load, folder: Path) -> None:
    content = (
        '[[keyword]]\nwords = "HOURS"\nreply = "9 to 5"\n\n'
        '[[keyword]]\nwords = ["VOTE"]\nforward = "https://votes.example.com/sms"\n\n'
        '[[keyword]]\nwords = ["MENU"]\nmatch = "hole"\nreply = "Soup"\ncountries = ["US", "USA"]\n\n'
        '[[keyword]]\nwords = ["menu"]\nreply = "{{ soup }}"\n\n'
        '[[keyword]]\nwords = ["JOBS"]\nreply = "None"\n\n'
        '[[keyword]]\nwords = ["JOBS"]\nreply = "Some"\n'
    )
    with pytest.raises(ConfigurationError) as caught:
        load(content)
    file = folder / "keywords.toml"
    assert list(caught.value.mistakes) == [
        f'{file}:2:9: keyword[1].words: must be a list in brackets, like ["this"]',
        f'{file}:7:11: keyword[2].forward: must be a table; write forward = {{ url = "..." }}',
        f'{file}:11:9: keyword 3 (MENU): match = "hole" is unknown; use whole, first-word, prefix, pattern',
        f"{file}:13:20: keyword 3 (MENU): countries: 'USA' should be two letters like US (ISO 3166)",
        f"{file}:17:9: keyword 4 (menu): soup is unknown; a template may use message, words, argument,"
        " keyword, contact",
        f"'JOBS' (first-word; everywhere) of JOBS ({file}:24:9) is already used by JOBS ({file}:20:9): give"
        " one of them another keyword, kind of match or scope",
    ]
