"""Replies of keywords.toml: static texts and templates, and the mistakes that are refused."""

from __future__ import annotations

from pathlib import Path

import pytest

from sms_router import Reply
from sms_router.routing.keywords.templates import (
    StaticReply,
    TemplateError,
    Templates,
)
from tests.routing.messages import message


@pytest.fixture
def templates(tmp_path: Path) -> Templates:
    (tmp_path / "outside.txt").write_text("secret")
    folder = tmp_path / "templates"
    folder.mkdir()
    (folder / "menu.txt").write_text("Soup: 5\nBread for {{ message.from_city or 'you' }}\n\n")
    (folder / "footer.txt").write_text("Bye, {{ argument }}")
    (folder / "broken.txt").write_text("one\n{% if %}\n")
    (folder / "deep.txt").write_text("{% if 1 %}" * 120 + "{% endif %}" * 120)
    (folder / "round.txt").write_text("{% include 'round.txt' %}")
    (folder / "empty.txt").write_text("\n")
    (folder / "latin.txt").write_bytes("Menü".encode("latin-1"))
    return Templates(folder)


def render(templates: Templates, text: str, body: str = "HOURS today please", **parameters: str) -> str:
    reply = templates.of_text(text, "keyword 1").reply(message(body, **parameters), "today please", "HOURS")
    assert isinstance(reply.text, str)
    return reply.text


@pytest.mark.parametrize(
    ("template", "text"),
    [
        ("We are open.", "We are open."),
        ("  spaced  \n", "spaced"),
        ("{{ message.from_city or 'friend' }}", "friend"),
        ("{{ message.body }}|{{ message.sender }}", "HOURS today please|+14155550123"),
        ("{{ message.from_city }}, hello", ", hello"),
        ("{{ words[1] }} {{ argument }} {{ keyword }}", "today today please HOURS"),
        ("{% for word in words %}{{ loop.index }}{{ word[0] }}{% endfor %}", "1H2t3p"),
        ("{% set a = words | length %}{{ a + 1 }}", "4"),
        ("a & b < c 'd'", "a & b < c 'd'"),
        ("{{ '<b>' }} & more", "<b> & more"),
        ("{# a comment #}text", "text"),
        ("{% if argument %}yes{% else %}no{% endif %}", "yes"),
        ("{{ message.parameters.get('Odd', 'none') }}", "none"),
        ("{% include 'footer.txt' %}", "Bye, today please"),
    ],
)
def test_a_template_is_rendered_as_plain_text(templates: Templates, template: str, text: str) -> None:
    assert render(templates, template) == text


def test_a_template_is_rendered_for_each_message(templates: Templates) -> None:
    hello = templates.of_text("Hello {{ message.from_city or 'you' }}", "keyword 1")
    for city, text in (("BONN", "Hello BONN"), ("GENT", "Hello GENT"), ("", "Hello you")):
        assert hello.reply(message(FromCity=city), "", "") == Reply(text)


def test_a_text_without_markup_is_static(templates: Templates) -> None:
    configured = templates.of_text("We are open.", "keyword 1", ("https://a.example/b.png",))
    assert configured == StaticReply(Reply("We are open.", ("https://a.example/b.png",)))


def test_the_text_of_a_message_is_not_rendered(templates: Templates) -> None:
    assert render(templates, "You said {{ message.body }}", "{{ 7 * 7 }}") == "You said {{ 7 * 7 }}"


def test_a_file_is_a_template(templates: Templates) -> None:
    configured = templates.of_file("menu.txt", ("https://a.example/menu.png",))
    reply = configured.reply(message(FromCity="OSLO"), "", "MENU")
    assert reply == Reply("Soup: 5\nBread for OSLO", ("https://a.example/menu.png",))


@pytest.mark.parametrize(
    ("template", "reason"),
    [
        ("{{ mesage.body }}", "keyword 1: mesage is unknown; a template may use message, words, argument"),
        ("a\n{{ message.body ", "keyword 1, line 2: unexpected end of template"),
        ("{% if %}", "keyword 1, line 1: "),
        ("{{ message.body | loud }}", "keyword 1, line 1: No filter named 'loud'"),
        ("{{ message.form_city }}", "keyword 1: message has no attribute 'form_city'; it has account_sid, "),
        ("{{ words[7] }}", "keyword 1: .* has no element 7"),
        ("{% include 'none.txt' %}", "keyword 1: includes none.txt, and there is no such file"),
        ("{% include 'broken.txt' %}", "broken.txt, line 2: "),
        ("{{ message.__class__ }}", "keyword 1: access to attribute '__class__' .* is unsafe"),
        ("{{ lipsum() }}", "lipsum is unknown"),
        pytest.param("{{ " + "(" * 300 + "1" + ")" * 300 + " }}", "keyword 1: is too deep", id="parentheses"),
        pytest.param("{{ " + "1+" * 5000 + "1 }}", "keyword 1: is too deep", id="sum"),
        pytest.param("{% if 1 %}" * 120 + "{% endif %}" * 120, "keyword 1: is too deep", id="conditions"),
        pytest.param("{{ " + "9" * 5000 + " }}", "keyword 1: is too deep", id="digits"),
        ("{% include 'deep.txt' %}", "keyword 1: what it includes is too deep"),
        ("{% include 'round.txt' %}", "keyword 1: includes itself"),
    ],
)
def test_a_mistake_is_refused_at_load_with_its_place(
    templates: Templates, template: str, reason: str
) -> None:
    with pytest.raises(TemplateError, match=reason):
        templates.of_text(template, "keyword 1")


@pytest.mark.parametrize(
    ("file", "reason"),
    [
        ("none.txt", "template none.txt: there is no such file in"),
        ("", "template : there is no such file in"),
        ("a\0b", "there is no such file in"),
        ("a" * 300, "there is no such file in"),
        ("../outside.txt", "template ../outside.txt: lies outside"),
        ("/etc/hostname", "template /etc/hostname: lies outside"),
        ("broken.txt", "broken.txt, line 2: "),
        ("empty.txt", "template empty.txt: is empty"),
        ("latin.txt", "template latin.txt: is not UTF-8"),
    ],
)
def test_a_file_that_cannot_be_used_is_refused_at_load(templates: Templates, file: str, reason: str) -> None:
    with pytest.raises(TemplateError, match=reason):
        templates.of_file(file)


@pytest.mark.parametrize(
    ("template", "reason"),
    [
        ("{{ 100 // (words | length - 2) }}", "template keyword 1: ZeroDivisionError"),
        ("{% if words | length > 2 %}text{% endif %}", "template keyword 1: its text is empty"),
    ],
)
def test_a_template_that_fails_on_a_message_has_a_reason(
    templates: Templates, template: str, reason: str
) -> None:
    configured = templates.of_text(template, "keyword 1")
    with pytest.raises(TemplateError, match=reason):
        configured.reply(message("two words"), "", "HOURS")


def test_with_media_the_text_may_be_empty(templates: Templates) -> None:
    configured = templates.of_text(
        "{% if argument %}text{% endif %}", "keyword 1", ("https://a.example/b.png",)
    )
    assert configured.reply(message(), "", "HOURS") == Reply("", ("https://a.example/b.png",))
