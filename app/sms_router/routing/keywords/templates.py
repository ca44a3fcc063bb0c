"""Replies of ``keywords.toml``: static texts and Jinja2 templates, sandboxed and strict."""

from __future__ import annotations

import contextlib
import re
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path

import jinja2
from jinja2 import meta, nodes
from jinja2.utils import object_type_repr

from sms_router.routing.handler.profile import HandlerContact, TemplateAttributes
from sms_router.routing.handler.reply import Reply
from sms_router.routing.keywords.own_replies import OwnReply
from sms_router.routing.keywords.template_limits import (
    MAX_PRODUCT,
    LimitedEnvironment,
    PlainEnvironment,
    TemplateLimitError,
    begin,
    output_bound,
)
from sms_router.twilio.inbound import InboundMessage

VARIABLES = ("message", "words", "argument", "keyword", "contact")
"""What a template may use."""

_UNCOMPILABLE = (SyntaxError, ValueError, OverflowError, RecursionError)
"""What Python raises for a template that is too deep, or has a number of too many digits, to be compiled."""

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
    """A template cannot be used; the text has the place and the reason."""


@dataclass(frozen=True, slots=True)
class StaticReply:
    """A reply that is the same for every contact."""

    constant: Reply

    def reply(self, *_: object) -> Reply:
        return self.constant


@dataclass(frozen=True, slots=True)
class TemplateReply:
    """A reply that is rendered for each message."""

    template: jinja2.Template = field(compare=False)
    environment: PlainEnvironment = field(compare=False)
    media: tuple[str, ...]
    sources: tuple[str, ...]
    """The source of the template and of those that it includes; templates with the same sources are equal."""
    uses_contact: bool = True

    def reply(self, message: InboundMessage, argument: str, keyword: str, profile: str = "") -> Reply:
        """Render the template; ``profile`` is what handlers have stored of the contact.

        Raises:
            TemplateError: when it fails, or its text is empty.

        """
        template = self.template
        variables: dict[str, object] = {
            "message": message,
            "words": message.words,
            "argument": argument,
            "keyword": keyword,
        }
        if self.uses_contact:
            variables["contact"] = HandlerContact(message.contact, profile, TemplateAttributes)
        try:
            text = self.environment.render(template, variables).strip()
        except Exception as error:
            raise TemplateError(f"template {template.name}: {type(error).__name__}: {error}") from error
        if not text and not self.media:
            raise TemplateError(f"template {template.name}: its text is empty")
        return _text_reply(text, self.media)


_text_reply = lru_cache(256)(Reply)
"""Many contacts get the same text; to make a reply costs as much as to render it."""

ConfiguredReply = StaticReply | TemplateReply | OwnReply


def sample_texts(reply: ConfiguredReply) -> tuple[str, ...]:
    """Return the texts that a reply has for a sample message; none where its template fails on the sample."""
    try:
        return reply.reply(_SAMPLE, "text", "SAMPLE").texts
    except TemplateError:
        return ()


class Templates:
    """Compiles the templates of a configuration."""

    def __init__(self, folder: Path) -> None:
        """Read the template files of a folder, once: later changes have not been tried out."""
        self._files = _files(folder)
        self._environment = LimitedEnvironment(jinja2.DictLoader(self._files))
        self._plain_environment = PlainEnvironment(jinja2.DictLoader({}))
        self._folder = folder

    def of_text(self, text: str, name: str, media: tuple[str, ...] = ()) -> ConfiguredReply:
        """Compile a ``reply``; ``name`` is where it is written.

        Raises:
            TemplateError: when the template is wrong or uses something unknown.

        """
        if not _MARKUP.search(text):
            return StaticReply(Reply(text.strip(), media))
        begin()
        try:
            tree = self._environment.parse(text)
            is_plain = output_bound(tree) <= MAX_PRODUCT
            environment = self._plain_environment if is_plain else self._environment
            template = environment.from_string(tree)
            used = meta.find_undeclared_variables(tree)
        except jinja2.TemplateSyntaxError as error:
            raise TemplateError(f"{name}, line {error.lineno}: {error.message}") from error
        except _UNCOMPILABLE as error:
            raise TemplateError(f"{name}: {_too_complex(error)}") from error
        if unknown := used - set(VARIABLES):
            raise TemplateError(
                f"{name}: {', '.join(sorted(unknown))} is unknown; a template may use {', '.join(VARIABLES)}"
            )
        template.name = name
        sources = (text, *self._included(tree))
        uses_contact = "contact" in used or len(sources) > 1
        reply = TemplateReply(template, environment, media, sources, uses_contact)
        _try_out(reply, name)
        return reply

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
            raise TemplateError(f"template {file}: is empty; write the text of the reply")
        return self.of_text(text, file, media)

    def _included(self, tree: nodes.Template) -> tuple[str, ...]:
        """Return the sources of the templates that a template includes, at any depth."""
        sources: dict[str | None, str] = {}
        unread = [tree]
        while unread:
            for name in meta.find_referenced_templates(unread.pop()):
                if name is None:  # known only when it is rendered
                    return tuple(self._files.values())
                if name in self._files and name not in sources:
                    sources[name] = self._files[name]
                    with contextlib.suppress(jinja2.TemplateSyntaxError, *_UNCOMPILABLE):
                        unread.append(self._environment.parse(sources[name]))
        return tuple(sources.values())


def _files(folder: Path) -> dict[str, str]:
    """Read what templates may include; files that are not UTF-8 are left out."""
    files = {}
    for path in sorted(folder.rglob("*")):
        with contextlib.suppress(OSError, UnicodeDecodeError):
            files[path.relative_to(folder).as_posix()] = path.read_text(encoding="utf-8-sig")
    return files


def _try_out(reply: TemplateReply, name: str) -> None:
    """Find misspelt attributes and missing includes at load; other errors may be due to the sample."""
    begin()
    try:
        contact = HandlerContact(_SAMPLE.contact, "", TemplateAttributes)
        reply.template.render(
            message=_SAMPLE, words=_SAMPLE.words, argument="text", keyword="SAMPLE", contact=contact
        )
    except jinja2.TemplateNotFound as error:
        raise TemplateError(f"{name}: includes {error.name}, and there is no such file") from error
    except jinja2.TemplateSyntaxError as error:  # of a template that this one includes
        raise TemplateError(f"{error.name}, line {error.lineno}: {error.message}") from error
    except jinja2.TemplateError as error:
        raise TemplateError(f"{name}: {_with_attributes(error.message or '')}") from error
    except RecursionError as error:
        raise TemplateError(f"{name}: includes itself, or {_too_complex(error)}") from error
    except TemplateLimitError as error:
        raise TemplateError(f"{name}: {error}") from error
    except SyntaxError as error:  # of a template that this one includes
        raise TemplateError(f"{name}: what it includes {_too_complex(error)}") from error
    except Exception:  # noqa: S110 (a template may fail on a message that is not a real one)
        pass


def _with_attributes(text: str) -> str:
    """Return Jinja2's sentence about a message with the name that templates use, and its attributes."""
    _, is_about_message, rest = text.partition(f"'{object_type_repr(_SAMPLE)}' ")
    attributes = ", ".join(name for name in dir(_SAMPLE) if not name.startswith("_"))
    return f"message {rest}; it has {attributes}" if is_about_message else text


def _too_complex(error: Exception) -> str:
    return f"is too deeply nested or too large; write it in smaller pieces ({error})"
