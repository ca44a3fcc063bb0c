"""What a template may cost, whatever it computes and whatever the text is."""

from __future__ import annotations

import math
import tracemalloc
from pathlib import Path
from unittest.mock import patch

import jinja2
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sms_router.routing.keywords.template_limits import LimitedEnvironment, PlainEnvironment, output_bound
from sms_router.routing.keywords.templates import TemplateError, Templates
from tests.routing.messages import message

DOUBLED = "{% set x = 'abcdefgh' %}" + "{% set x = x ~ x %}" * 40 + "{{ x }}"


@pytest.fixture
def templates(tmp_path: Path) -> Templates:
    for number in range(40):
        (tmp_path / f"{number}.txt").write_text(f"{{% include '{number + 1}.txt' %}}" * 2)
    (tmp_path / "40.txt").write_text("end")
    (tmp_path / "long.txt").write_text("a" * 30_000)
    return Templates(tmp_path)


def render(templates: Templates, text: str, body: str) -> str:
    reply = templates.of_text(text, "keyword 1").reply(message(f"GO {body}"), body, "GO")
    assert isinstance(reply.text, str)
    return reply.text


@pytest.mark.parametrize("body", ["1500000000", "99999"])
@pytest.mark.parametrize(
    "template",
    [
        "{{ 'x' * (argument | int) }}",
        "{{ (argument | int) * 'x' }}",
        "{{ ['x'] * (argument | int) }}",
        "{{ 'x' | center(argument | int) }}",
        "{{ 'x' | indent(argument | int, true) }}",
        "{{ 'x'.ljust(argument | int) }}",
        "{{ 'x'.zfill(argument | int) }}",
        "{{ '\t'.expandtabs(argument | int) }}",
        "{{ (1).to_bytes(argument | int, 'big') }}",
        "{{ '%*d' % (argument | int, 5) }}",
        "{{ '%*d' | format(argument | int, 5) }}",
        "{{ ('%' ~ argument ~ 'd') | format(5) }}",
        "{{ ('%' ~ argument ~ 'd') % 5 }}",
        "{{ '{:>{}}'.format(5, argument | int) }}",
        "{{ ('{:>' ~ argument ~ '}').format(5) }}",
        "{{ [1] | batch(argument | int, 'x') | first }}",
        "{{ [1] | slice(argument | int) | list }}",
        "{{ words | tojson(argument | int) }}",
        "{{ 7 ** (argument | int) }}",
        "{{ ['x'] | map('center', argument | int) | join }}",
    ],
)
def test_a_number_in_a_text_does_not_make_a_reply_large(
    templates: Templates, template: str, body: str
) -> None:
    tracemalloc.start()
    try:
        with pytest.raises(TemplateError):
            render(templates, template, body)
        assert tracemalloc.get_traced_memory()[1] < 10_000_000
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize(
    "template",
    [
        "{{ 'a' * 3000000000 }}",
        "{{ 'a' | center(3000000000) }}",
        "{{ 9 ** 99999 }}",
        "{% for a in 'x' * 9999 %}{% for b in 'x' * 9999 %}{% set c = a %}{% endfor %}{% endfor %}",
        "{% for a in 'x' * 9999 %}{% for b in 'x' * 9999 %}y{% endfor %}{% endfor %}",
        "{% for a in [1, 2] recursive %}{{ loop([1, 2]) }}{% endfor %}",
        "{% macro f(n) %}{% if n %}{{ f(n - 1) }}{{ f(n - 1) }}{% endif %}{% endmacro %}{{ f(60) }}",
        DOUBLED,
        DOUBLED.replace("~", "+"),
        "{% set x = 'ab' %}" + "{% set x %}{{ x }}{{ x }}{% endset %}" * 40 + "{{ x }}",
        "{% set x = ['ab'] %}" + "{% set x = [x, x] %}" * 40 + "{{ x }}",
        "{% set x = ('ab', argument) %}" + "{% set x = (x, x) %}" * 40 + "{{ x | length }}",
        "{% set x = {1: 2} %}" + "{% set x = {1: x, 2: x} %}" * 40 + "{{ x == x }}",
        "{% set x = 'aa' %}" + "{% set x = x | replace('a', 'aaaa') %}" * 20 + "{{ x }}",
        "{% set x = 'aa' %}" + "{% set x = x.replace('a', 'aaaa') %}" * 20 + "{{ x }}",
        "{% set x = 'aa' %}" + "{% set x = x.join([x, x, x]) %}" * 20 + "{{ x }}",
        "{% set x = 'aa' %}" + "{% set x = '%s%s' % (x, x) %}" * 20 + "{{ x }}",
        "{% set x = 'aa' %}" + "{% set x = '{0}{0}'.format(x) %}" * 20 + "{{ x }}",
        "{% set x = 3 %}" + "{% set x = x * x %}" * 40 + "{{ x }}",
        "{% include '0.txt' %}",
        "{% set x %}{% for a in 'x' * 9999 %}{% include 'long.txt' %}{% endfor %}{% endset %}{{ x }}",
    ],
)
def test_a_template_that_takes_too_much_is_refused(templates: Templates, template: str) -> None:
    tracemalloc.start()
    try:
        with pytest.raises(TemplateError, match=r"more than|recursion"):
            templates.of_text(template, "keyword 1")
        assert tracemalloc.get_traced_memory()[1] < 20_000_000
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize(
    ("template", "text"),
    [
        ("{{ '*' * 1 }} In 2026: *%s*{{ '*%s* in 2026' % keyword }}", "* In 2026: *%s**GO* in 2026"),
        ("{{ '{} of {}'.format(14155550123, 5) }}", "14155550123 of 5"),
        ("{{ '%05d' | format(42) }}", "00042"),
        ("{{ 'a-b' | replace('-', ' ') | center(9) }}.", "a b   ."),
        ("{{ argument | truncate(5, true, '..', 0) }}", "one.."),
        ("{{ words | join(', ') }}", "GO, one, two"),
        ("{{ (words | length) * 14155550123 }}", "42466650369"),
        ("{% for a, b in [(1, argument), (2, 'x')] %}{{ a }}{{ b }}{% endfor %}", "1one two2x"),
        ("{% for w in words[1:] %}{{ loop.index }}{{ loop.length }}{{ w }} {% endfor %}", "12one 22two"),
        ("{% for k, v in {'a': argument}.items() %}{{ k }}={{ v }}{% endfor %}", "a=one two"),
        ("{{ 'x' * 16000 }}", "x" * 16_000),
        ("{{ 2 ** 64 }}", "18446744073709551616"),
    ],
)  # fmt: skip
def test_a_usual_template_stays_within_the_limits(templates: Templates, template: str, text: str) -> None:
    assert render(templates, template, "one two") == text


TEXTS = st.text(st.sampled_from("aß ŉİΐ{}\n"), max_size=12)
VALUES = st.recursive(
    st.sampled_from(
        [
            "message.body",
            "message.from_city",
            "message.segments",
            "argument",
            "keyword",
            "words[0]",
            "'ß'",
            "12",
            "message.parameters['FromCity']",
        ]
    ),
    lambda values: st.one_of(
        st.builds(
            "({} | {})".format, values, st.sampled_from(["upper", "lower", "title", "trim", "capitalize"])
        ),
        st.builds("({} | default({}, boolean=true))".format, values, values),
        st.builds("({} or {})".format, values, values),
        st.builds("({} == {})".format, values, values),
        st.builds("({} if {} is string else not {})".format, values, values, values),
    ),
    max_leaves=6,
)
PLAIN_TEMPLATES = st.lists(
    st.one_of(
        st.sampled_from(["Hello, ", "ß\n"]),
        st.builds("{{{{ {} }}}}".format, VALUES),
        st.builds("{{% if {} %}}{{{{ {} }}}}{{% else %}}no{{% endif %}}".format, VALUES, VALUES),
    ),
    min_size=1,
).map("".join)


@given(PLAIN_TEMPLATES, TEXTS, TEXTS)
def test_a_plain_template_never_exceeds_its_bound_and_renders_as_with_limits(
    template: str, body: str, city: str
) -> None:
    inbound = message(f"GO {body}", FromCity=city)
    longest = max(len(inbound.body), len(inbound.from_city or ""), len(body))
    variables = {"message": inbound, "words": inbound.words, "argument": body, "keyword": "GO"}
    limited, plain = LimitedEnvironment(jinja2.DictLoader({})), PlainEnvironment(jinja2.DictLoader({}))
    with patch("sms_router.routing.keywords.template_limits.MAX_INPUT", longest):
        bound = output_bound(limited.parse(template))
    text = plain.render(plain.from_string(template), variables)
    assert len(text) <= bound < math.inf
    assert text == limited.render(limited.from_string(template), variables)


@pytest.mark.parametrize(
    "template",
    [
        "{{ 'a' * 3 }}", "{{ argument ~ argument }}", "{{ words }}", "{{ message }}", "{{ words | join }}",
        "{% for word in words %}x{% endfor %}", "{% set x = argument %}{{ x }}", "{% include 'long.txt' %}",
        "{% macro f() %}{% endmacro %}{{ f() }}", "{{ argument.center(9) }}", "{{ argument | center(9) }}",
        "{{ ('a' * 3).parameters['x'] }}", "{{ argument[:2] * 2 }}", "{{ words | length }}",
        "{{ message.parameters }}", "{{ '%9d' % 5 }}", "{{ keyword if 'a' * 9 }}", "{{ argument | escape }}",
    ],
)  # fmt: skip
def test_a_template_that_repeats_or_joins_has_no_bound(template: str) -> None:
    assert output_bound(LimitedEnvironment(jinja2.DictLoader({})).parse(template)) == math.inf


def test_a_plain_template_for_a_long_text_is_refused_as_with_limits(templates: Templates) -> None:
    with pytest.raises(TemplateError, match="its text has more than 40000 characters"):
        render(templates, "{{ argument }}", "a" * 40_001)
