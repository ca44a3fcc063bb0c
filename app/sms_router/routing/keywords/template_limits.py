"""Limits on what a template may cost: every operation that can make something large, or repeat, is counted.

Jinja2's sandbox restricts what a template can reach, not how much it computes: ``'x' * (argument | int)``
takes as much memory as the text of a stranger says. Here operators, filters, method calls, loops, includes
and output go through a budget, whose end is a `TemplateLimitError`.

Most templates have none of these: `output_bound` decides it once, and a `PlainEnvironment` renders them
without a budget.
"""

from __future__ import annotations

import math
import re
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import wraps
from itertools import islice
from types import SimpleNamespace
from typing import Any, cast

import jinja2
from jinja2 import nodes
from jinja2.runtime import Context, LoopContext
from jinja2.sandbox import ImmutableSandboxedEnvironment
from jinja2.visitor import NodeTransformer

from sms_router.twilio.inbound import InboundMessage

MAX_CHARACTERS = 40_000
"""Of one value, and of the whole output: more than twice what an answer can hold (10 messages of 1600)."""

MAX_PRODUCT = 4_000_000
"""Characters that one operation could make of its arguments, before it is known whether it does."""

MAX_OUTPUT = 4 * MAX_CHARACTERS
"""Of all outputs of one rendering; those within macros and blocks count each time they pass."""

MAX_STEPS = 20_000
"""Loop iterations, calls, filters, operators and outputs of one rendering."""

MAX_SECONDS = 0.25
"""Of processor time for one rendering."""

MAX_NUMBER_BITS = 4096
"""Of a whole number."""

MAX_INPUT = 65_536
"""Characters of a text that a message brings; a webhook's body has at most as many bytes."""

_STEPS_PER_CLOCK_READING = 64

_TEXT_ATTRIBUTES = frozenset(
    {"sid", "account_sid", "service_sid", "sender", "recipient", "body", "from_country", "from_city"}
    | {"opt_out_type", "segments"}
)
"""Of a message: what is at most one text."""

_PLAIN_FILTERS = frozenset({"capitalize", "d", "default", "lower", "title", "trim", "upper"})
"""Filters whose result has at most `_GROWTH` times the characters of what they are passed."""

_GROWTH = 3
"""The most upper-case letters of one character."""

_AMPLIFYING_FILTERS = (
    "batch", "center", "format", "indent", "join", "pprint", "replace", "slice", "tojson", "truncate",
    "urlize", "wordwrap", "xmlattr",
)  # fmt: skip
"""Filters whose result may be larger than their input, by what they are passed."""

_WIDE_FORMAT = re.compile(rb"%[^a-zA-Z%]*(?:\*|[0-9]{4})|\{[^{}]*(?:\{|:[^{}]*[0-9]{4})")
"""A width or precision of four digits, or one that is an argument, in the notation of % or of str.format."""

_BOUNDED, _JOINED, _COLLECTED = "bounded iteration", "bounded text", "bounded collection"
"""Filters that no template can name, because of the blanks."""


class TemplateLimitError(Exception):
    """A template exceeds a limit; the text names it."""


class _Budget(threading.local):
    """What the current rendering of this thread has used."""

    steps = 0
    characters = 0
    deadline: float | None = None
    """By the thread's processor time. It is set at the first reading, which most templates do not reach: one
    reading costs a message several microseconds."""

    def reset(self) -> None:
        """Begin a rendering, or a compilation."""
        self.steps = self.characters = 0
        self.deadline = None

    def step(self, count: int = 1) -> None:
        """Count steps.

        Raises:
            TemplateLimitError: when there are too many, or they take too long.

        """
        before, self.steps = self.steps, self.steps + count
        if self.steps > MAX_STEPS:
            raise TemplateLimitError(f"it takes more than {MAX_STEPS} steps")
        if before // _STEPS_PER_CLOCK_READING == self.steps // _STEPS_PER_CLOCK_READING:
            return
        now = time.thread_time()
        if self.deadline is None:
            self.deadline = now + MAX_SECONDS
        elif now > self.deadline:
            raise TemplateLimitError(f"it takes more than {MAX_SECONDS:g} s")

    def output(self, length: int) -> None:
        """Count one output and its characters."""
        self.step()
        self.characters += length
        if self.characters > MAX_OUTPUT:
            raise _too_long()


_budget = _Budget()


begin = _budget.reset
"""Begins a compilation in this thread."""


def join_output(parts: Iterable[str]) -> str:
    """Join the output of a template, or of a macro or block in it.

    Raises:
        TemplateLimitError: when it is too long.

    """
    texts, length = [], 0
    for part in parts:
        length += len(part)
        if length > MAX_CHARACTERS:
            raise _output_too_long()
        texts.append(part)
    return "".join(texts)


def output_bound(node: nodes.Node) -> float:
    """Return how many characters a template makes at most, whatever the message is.

    It includes the values of conditions. It is infinite for a template with anything that repeats, multiplies
    or joins.
    """
    factor = 1
    match node:
        case nodes.Const(value=value) | nodes.TemplateData(data=value):
            return len(str(value))
        case (
            nodes.Name(name="argument" | "keyword")
            | nodes.Getitem(
                node=nodes.Name(name="words")
                | nodes.Getattr(node=nodes.Name(name="message"), attr="parameters"),
                arg=nodes.Const(),
            )
        ):
            return MAX_INPUT
        case nodes.Getattr(node=nodes.Name(name="message"), attr=name) if name in _TEXT_ATTRIBUTES:
            return MAX_INPUT
        case nodes.Filter(name=name) if name in _PLAIN_FILTERS:
            factor = _GROWTH
        case nodes.Template() | nodes.Output() | nodes.If() | nodes.CondExpr() | nodes.And() | nodes.Or():
            pass
        case nodes.Not() | nodes.Compare() | nodes.Operand() | nodes.Test() | nodes.Keyword():
            pass
        case _:
            return math.inf
    return len("False") + factor * sum(map(output_bound, node.iter_child_nodes()))


class PlainEnvironment(ImmutableSandboxedEnvironment):
    """Jinja2's sandbox for templates whose `output_bound` is at most `MAX_PRODUCT`."""

    def __init__(self, loader: jinja2.BaseLoader, finalize: Callable[[object], object] | None = None) -> None:
        super().__init__(
            loader=loader,
            undefined=jinja2.StrictUndefined,
            autoescape=False,
            auto_reload=False,
            finalize=finalize or _blank_for_none,
        )
        self.globals.clear()  # no reply needs lipsum(), and each rendering copies them

    def render(self, template: jinja2.Template, variables: dict[str, object]) -> str:
        """Return the text of a template; ``variables`` has all that it may use.

        Raises:
            TemplateLimitError: when it is too long.

        """
        # As Template.render, but for the context: the code of a plain template only looks up its variables.
        context: Any = SimpleNamespace(resolve_or_missing=variables.__getitem__)
        text = "".join(template.root_render_func(context))
        if len(text) > MAX_CHARACTERS:
            raise _output_too_long()
        return text

    def getattr(self, obj: Any, attribute: str) -> Any:
        """Answer quickly for the attributes of the message, which are known to be safe."""
        if isinstance(obj, InboundMessage) and attribute in _TEXT_ATTRIBUTES:
            return getattr(obj, attribute)
        return super().getattr(obj, attribute)


class LimitedEnvironment(PlainEnvironment):
    """Jinja2's sandbox with limits."""

    intercepted_binops = frozenset({"*", "**", "%", "+"})
    concat = staticmethod(join_output)

    def __init__(self, loader: jinja2.BaseLoader) -> None:
        super().__init__(loader, _output)
        for name, function in self.filters.items():
            self.filters[name] = _limited_filter(function, amplifies=name in _AMPLIFYING_FILTERS)
        self.filters[_BOUNDED] = _iterate
        self.filters[_JOINED] = _join
        self.filters[_COLLECTED] = _collect

    def render(self, template: jinja2.Template, variables: dict[str, object]) -> str:
        """Return the text of a template, within the limits of one rendering."""
        _budget.reset()
        # As Template.render, but for its search for globals: there are none.
        context = self.context_class(self, variables, template.name, template.blocks)
        return join_output(template.root_render_func(context))

    def _parse(self, source: str, name: str | None, filename: str | None) -> nodes.Template:
        tree = super()._parse(source, name, filename)
        limited: nodes.Template = _Limiter().visit(tree)
        return limited

    def call_binop(self, context: Context, operator: str, left: Any, right: Any) -> Any:
        _budget.step()
        _check_operator(operator, left, right)
        return super().call_binop(context, operator, left, right)

    def call(__self, __context: Context, __obj: Any, *args: Any, **kwargs: Any) -> Any:  # noqa: N805 (as Jinja2)
        _budget.step()
        # The sandbox wraps str.format in a function of its own.
        owner = getattr(getattr(__obj, "__wrapped__", __obj), "__self__", None)
        if isinstance(__obj, LoopContext):  # a recursive loop
            args = tuple(_iterate(argument) for argument in args)
        elif isinstance(owner, str | bytes | int | float):
            if getattr(__obj, "__name__", "") in ("format", "format_map"):
                _check_format(owner)
                _check_size([*args, *kwargs.values()])
                _check_product(owner, (), {"arguments": [*args, *kwargs.values()]})
            else:
                _check_product(owner, args, kwargs)
        result = super().call(__context, __obj, *args, **kwargs)
        if isinstance(result, str | bytes):
            _check_size(result)
        return result

    def _load_template(self, name: str, globals: Any) -> jinja2.Template:  # noqa: A002 (as Jinja2)
        _budget.step(10)
        began = time.thread_time()
        template = super()._load_template(name, globals)
        if _budget.deadline is not None:
            _budget.deadline += time.thread_time() - began  # to compile it, which happens once
        return template


class _Limiter(NodeTransformer):
    """Puts the limits into the tree of a template: where Jinja2 compiles to plain Python."""

    def visit_For(self, node: nodes.For) -> nodes.Node:  # noqa: N802
        self.generic_visit(node)
        node.iter = _call_filter(_BOUNDED, cast("nodes.Expr", node.iter))
        return node

    def visit_Concat(self, node: nodes.Concat) -> nodes.Node:  # noqa: N802
        self.generic_visit(node)
        return _call_filter(_JOINED, nodes.List(node.nodes, lineno=node.lineno))

    def visit_List(self, node: nodes.List | nodes.Tuple | nodes.Dict) -> nodes.Node:  # noqa: N802
        if isinstance(node, nodes.Tuple) and node.ctx == "store":
            return node
        self.generic_visit(node)
        is_plain = all(isinstance(item, nodes.Const | nodes.TemplateData) for item in node.items)
        return node if is_plain else _call_filter(_COLLECTED, node)

    visit_Tuple = visit_Dict = visit_List  # noqa: N815


def _call_filter(name: str, node: nodes.Expr) -> nodes.Filter:
    return nodes.Filter(node, name, [], [], None, None, lineno=node.lineno, environment=node.environment)


def _too_long() -> TemplateLimitError:
    return TemplateLimitError(f"a value has more than {MAX_CHARACTERS} characters")


def _output_too_long() -> TemplateLimitError:
    return TemplateLimitError(f"its text has more than {MAX_CHARACTERS} characters")


def _blank_for_none(value: object) -> object:
    """An unknown value is nothing, rather than the word None."""
    return "" if value is None else value


def _output(value: object) -> object:
    if value is None:
        return ""
    _budget.output(len(value) if isinstance(value, str) else _size(value))
    return value


def _join(parts: list[Any]) -> str:
    _budget.step()
    _check_size(parts)
    return "".join(map(str, parts))


def _collect(collection: Any) -> Any:
    """Refuse a nested collection of lists that contain the same list again and again."""
    _budget.step()
    _check_size(collection)
    return collection


def _iterate(items: Iterable[Any]) -> Iterable[Any]:
    """Count the iterations of a loop; Jinja2 needs the length of what has one."""
    if isinstance(items, str | list | tuple | Mapping):
        _budget.step(len(items))
        return items
    return _iterate_counted(items)


def _iterate_counted(items: Iterable[Any]) -> Iterator[Any]:
    for item in items:
        _budget.step()
        yield item


def _size(value: object) -> int:
    """Return about how many characters a value has as a text; each item of a collection is a step."""
    if isinstance(value, str | bytes):
        return len(value)
    if isinstance(value, Mapping):
        value = [part for pair in islice(value.items(), MAX_CHARACTERS) for part in pair]
    if isinstance(value, list | tuple | set | frozenset):
        total = 2
        for item in value:
            _budget.step()
            total += 2 + _size(item)
            if total > MAX_CHARACTERS:
                raise _too_long()
        return total
    if isinstance(value, int):
        return 1 + value.bit_length() // 3
    return 1


def _check_size(value: object) -> None:
    if _size(value) > MAX_CHARACTERS:
        raise _too_long()


def _check_product(value: object, args: Iterable[object], kwargs: Mapping[str, object]) -> None:
    """Refuse a call whose result could be too large: as many characters as the product of the sizes."""
    product = max(1, _size(value))
    for argument in (*args, *kwargs.values()):
        product *= max(1, abs(argument) if isinstance(argument, int) else _size(argument))
    if product > MAX_PRODUCT:
        raise _too_long()


def _check_format(text: object) -> None:
    if isinstance(text, str):
        text = text.encode("utf-8", "replace")
    if isinstance(text, bytes) and _WIDE_FORMAT.search(text):
        raise TemplateLimitError("a format has a width of more than 999, or one that is an argument")


def _check_operator(operator: str, left: Any, right: Any) -> None:
    if isinstance(left, int) and isinstance(right, int):
        bits = left.bit_length() + right.bit_length()
        if operator == "**":
            bits = left.bit_length() * max(right, 0)
        if operator in ("*", "**") and bits > MAX_NUMBER_BITS:
            raise TemplateLimitError(f"a number has more than {MAX_NUMBER_BITS} bits")
    elif operator == "*":
        sequence, count = (right, left) if isinstance(left, int) else (left, right)
        if isinstance(count, int) and _size(sequence) * max(count, 1) > MAX_CHARACTERS:
            raise _too_long()
    elif operator == "+":
        if _size(left) + _size(right) > MAX_CHARACTERS:
            raise _too_long()
    elif operator == "%" and isinstance(left, str | bytes):
        _check_format(left)
        if len(left) * _size(right) > MAX_PRODUCT:
            raise _too_long()


def _limited_filter(function: Callable[..., Any], *, amplifies: bool) -> Callable[..., Any]:
    @wraps(function)
    def limited(*args: Any, **kwargs: Any) -> Any:
        _budget.step()
        if amplifies:
            args = tuple(list(_iterate_counted(one)) if isinstance(one, Iterator) else one for one in args)
            values = [value for value in args if isinstance(value, _MEASURED)]
            if values and function.__name__ == "do_format":
                _check_format(values[0])
                _check_product(values[0], (), {"arguments": [*values[1:], *kwargs.values()]})
            elif values:
                _check_product(values[0], values[1:], kwargs)
        result = function(*args, **kwargs)
        if isinstance(result, str | list | tuple):
            _check_size(result)
        return result

    return limited


_MEASURED = (str, bytes, int, list, tuple, Mapping, set, frozenset)
