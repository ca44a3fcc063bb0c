"""Answers written in ``keywords.toml``: texts and Jinja2 templates, sandboxed and strict."""

from __future__ import annotations

import contextlib
import re
from dataclasses import dataclass, field
from pathlib import Path

import jinja2
from jinja2 import meta, nodes
from jinja2.sandbox import ImmutableSandboxedEnvironment
from jinja2.utils import object_type_repr

from sms_router.routing.handler.reply import Reply
from sms_router.routing.keywords.template_reads import shared_reads
from sms_router.twilio.inbound import InboundMessage

VARIABLES = ("message", "words", "argument", "keyword")
"""What a template may speak of."""

MOST_WRITTEN, LONGEST_WRITTEN = 2048, 500
"""Replies that are kept of all templates together, and characters of one."""

_BEYOND_PYTHON = (SyntaxError, ValueError, OverflowError, RecursionError)
"""What Python says of a template that is too deep, or has a number of too many digits, to become code."""

_MARKUP = re.compile(r"\{[{%#]")

_SAMPLE = InboundMessage(
    sid="SM" + "0" * 32,
    account_sid="AC" + "0" * 32,
    service_sid=None,
    sender="+14155550123",
    recipient="12345",
    body="SAMPLE text",
    parameters={"FromCity": "SAN FRANCISCO", "FromCountry": "US"},
)


class TemplateError(Exception):
    """A template cannot be used; the text says where and why."""


@dataclass(frozen=True, slots=True)
class StaticReply:
    """An answer that is the same for everybody."""

    constant: Reply

    def reply(self, message: InboundMessage, argument: str, keyword: str) -> Reply:  # noqa: ARG002
        """Return the constant reply."""
        return self.constant


@dataclass(frozen=True, slots=True)
class TemplateReply:
    """An answer that a template makes for each message."""

    template: jinja2.Template = field(compare=False)
    media: tuple[str, ...]
    sources: tuple[str, ...]
    """What it is written as, with what it includes: two answers of the same sources are one."""
    reads: tuple[str, ...] | None = None
    """The message's properties on which alone the text depends (`shared_reads`); None where on more."""
    written: dict[tuple[object, ...], Reply] = field(default_factory=dict, compare=False, repr=False)
    """Replies of many templates, by the template and these properties."""

    def reply(self, message: InboundMessage, argument: str, keyword: str) -> Reply:
        """Render the template, or return what it came to for a message like this one.

        Raises:
            TemplateError: when it fails, or comes out empty.

        """
        if self.reads is None:
            return self._rendered(message, argument, keyword)
        likeness = (self.template, *[getattr(message, name) for name in self.reads])
        reply = self.written.get(likeness)
        if reply is None:
            reply = self._rendered(message, argument, keyword)
            if len(self.written) >= MOST_WRITTEN:
                self.written.clear()
            if len(reply.text) <= LONGEST_WRITTEN:
                self.written[likeness] = reply
        return reply

    def _rendered(self, message: InboundMessage, argument: str, keyword: str) -> Reply:
        try:
            text = _text_of(
                self.template,
                {"message": message, "words": message.words, "argument": argument, "keyword": keyword},
            )
        except Exception as error:
            raise TemplateError(f"template {self.template.name}: {type(error).__name__}: {error}") from error
        if not text.strip() and not self.media:
            raise TemplateError(f"template {self.template.name}: came out empty")
        return Reply(text.strip(), self.media)


ConfiguredReply = StaticReply | TemplateReply


class _Environment(ImmutableSandboxedEnvironment):
    """Jinja2's sandbox, but for the message: what it tells openly is known to be safe."""

    def is_safe_attribute(self, obj: object, attr: str, value: object) -> bool:
        """Tell whether a template may see an attribute; the library's questions cost more than the rest."""
        if isinstance(obj, InboundMessage):
            return not attr.startswith("_")
        return super().is_safe_attribute(obj, attr, value)


class Templates:
    """Compiles what the configuration writes."""

    def __init__(self, folder: Path) -> None:
        """Read the template files of ``folder``, once: what changes later has not been tried out."""
        self._files = _files(folder)
        self._environment = _Environment(
            loader=jinja2.DictLoader(self._files),
            undefined=jinja2.StrictUndefined,
            autoescape=False,
            auto_reload=False,
            finalize=_written,
        )
        self._environment.globals.clear()  # nobody needs lipsum() in a text, and each render copies them
        self._folder = folder
        self._written: dict[tuple[object, ...], Reply] = {}

    def of_text(self, text: str, name: str, media: tuple[str, ...] = ()) -> ConfiguredReply:
        """Compile a ``reply``; ``name`` tells people where it stands.

        Raises:
            TemplateError: when the template is wrong or speaks of something unknown.

        """
        if not _MARKUP.search(text):
            return StaticReply(Reply(text.strip(), media))
        try:
            tree = self._environment.parse(text)
            template = self._environment.from_string(tree)
            unknown = meta.find_undeclared_variables(tree) - set(VARIABLES)
        except jinja2.TemplateSyntaxError as error:
            raise TemplateError(f"{name}, line {error.lineno}: {error.message}") from error
        except _BEYOND_PYTHON as error:
            raise TemplateError(f"{name}: {_beyond(error)}") from error
        if unknown:
            raise TemplateError(
                f"{name}: {', '.join(sorted(unknown))} is unknown; a template may use {', '.join(VARIABLES)}"
            )
        template.name = name
        sources = (text, *self._included(tree))
        answer = TemplateReply(template, media, sources, shared_reads(tree), self._written)
        _try_out(answer, name)
        return answer

    def of_file(self, file: str, media: tuple[str, ...] = ()) -> ConfiguredReply:
        """Compile a template file of the templates folder.

        Raises:
            TemplateError: as `of_text`, or when there is no such file.

        """
        path = self._folder / file
        try:
            if not path.resolve().is_relative_to(self._folder.resolve()):
                raise TemplateError(f"template {file}: lies outside {self._folder}")
            text = path.read_text(encoding="utf-8-sig")
        except UnicodeDecodeError as error:
            raise TemplateError(f"template {file}: is not UTF-8: {error.reason}") from error
        except (OSError, ValueError) as error:
            raise TemplateError(f"template {file}: there is no such file in {self._folder}") from error
        if not text.strip() and not media:
            raise TemplateError(f"template {file}: is empty; write the text that people get")
        return self.of_text(text, file, media)

    def _included(self, tree: nodes.Template) -> tuple[str, ...]:
        """Return what the files are written as that a template includes, at any depth."""
        sources: dict[str | None, str] = {}
        waiting = [tree]
        while waiting:
            for name in meta.find_referenced_templates(waiting.pop()):
                if name is None:  # which one is known only when it is rendered
                    return tuple(self._files.values())
                if name in self._files and name not in sources:
                    sources[name] = self._files[name]
                    with contextlib.suppress(jinja2.TemplateSyntaxError, *_BEYOND_PYTHON):
                        waiting.append(self._environment.parse(sources[name]))
        return tuple(sources.values())


def _text_of(template: jinja2.Template, variables: dict[str, object]) -> str:
    """Render as ``Template.render`` does, but for its search for globals: there are none."""
    environment = template.environment
    context = environment.context_class(environment, variables, template.name, template.blocks)
    return "".join(template.root_render_func(context))


def _files(folder: Path) -> dict[str, str]:
    """Read what templates may include; what is no text is not there."""
    files = {}
    for path in sorted(folder.rglob("*")):
        with contextlib.suppress(OSError, UnicodeDecodeError):
            files[path.relative_to(folder).as_posix()] = path.read_text(encoding="utf-8-sig")
    return files


def _written(value: object) -> object:
    """Write nothing for what is not known, rather than the word None."""
    return "" if value is None else value


def _try_out(answer: TemplateReply, name: str) -> None:
    """Find misspelt attributes and missing includes at load; other errors may be the sample's fault."""
    try:
        answer.template.render(message=_SAMPLE, words=_SAMPLE.words, argument="text", keyword="SAMPLE")
    except jinja2.TemplateNotFound as error:
        raise TemplateError(f"{name}: includes {error.name}, and there is no such file") from error
    except jinja2.TemplateSyntaxError as error:  # of a template that this one includes
        raise TemplateError(f"{error.name}, line {error.lineno}: {error.message}") from error
    except jinja2.TemplateError as error:
        raise TemplateError(f"{name}: {_in_their_words(error.message or '')}") from error
    except RecursionError as error:
        raise TemplateError(f"{name}: includes itself, or {_beyond(error)}") from error
    except SyntaxError as error:  # of a template that this one includes
        raise TemplateError(f"{name}: what it includes {_beyond(error)}") from error
    except Exception:  # noqa: S110 (a template may rightly fail on a message that is not a real one)
        pass


def _in_their_words(told: str) -> str:
    """Return what Jinja2 tells of a message, as those call it who write templates."""
    _, ours, rest = told.partition(f"'{object_type_repr(_SAMPLE)}' ")
    known = ", ".join(name for name in dir(_SAMPLE) if not name.startswith("_"))
    return f"message {rest}; it has {known}" if ours else told


def _beyond(error: Exception) -> str:
    return f"is too deeply nested or too large; write it in smaller pieces ({error})"
