"""The router's own replies, in the words of a Service and in the language of the contact."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import Protocol

from sms_router.routing.handler.profile import language_of
from sms_router.routing.handler.reply import Reply
from sms_router.twilio.inbound import InboundMessage

OPT_OUT_REPLIES = ("stop_reply", "start_reply", "help_reply")

REPLY_NAMES = (
    "error_reply", "fallback_reply", "muted_reply", "leave_reply", "leave_hint", "expired_reply",
    "try_again_reply", *OPT_OUT_REPLIES,
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class ReplyTable:
    """``[[replies]]``: texts for some Services, or all, in one language."""

    texts: Mapping[str, str]
    """By the name of the reply."""
    services: Sequence[str] = ()
    language: str | None = None


@dataclass(frozen=True, slots=True)
class OwnReplies:
    """Chooses the text of a reply.

    The languages are those of the contact, of the keyword, and of the Service; then comes the text without a
    language, then the default. In each language the Service's own text comes first.

    Attributes:
        tables: the texts; the first one with the reply counts.
        service_languages: of the Services that have one.

    """

    tables: Sequence[ReplyTable] = ()
    service_languages: Mapping[str, str] = field(default_factory=dict)

    def choose(
        self,
        name: str,
        default: Reply,
        message: InboundMessage,
        profile: str = "",
        keyword_language: str | None = None,
        by_language: Mapping[str, str] = MappingProxyType({}),
    ) -> Reply:
        """Return the reply of a name in `REPLY_NAMES`.

        ``default`` is returned where no text fits; its other fields always hold. ``profile`` is what
        handlers have stored of the contact. ``by_language`` are further texts, for every Service that has
        none without a language.
        """
        if not self.tables and not by_language:
            return default
        service = message.service_sid
        general = self._find(name, service, None)
        languages = language_of(profile), keyword_language, self.service_languages.get(service or "")
        for language in _with_general_ones(languages):
            text = self._find(name, service, language)
            if text is None and general is None:
                text = by_language.get(language)
            if text is not None:
                return replace(default, text=text)
        return default if general is None else replace(default, text=general)

    def _find(self, name: str, service: str | None, language: str | None) -> str | None:
        """Return the text of a Service, or of all, in a language; None is that of tables without one."""
        own = self.service_languages.get(service or "")
        for is_own in (True, False):
            for table in self.tables:
                fits = service in table.services if is_own else not table.services
                spoken = table.language or (own if is_own else None)
                if fits and spoken == language and name in table.texts:
                    return table.texts[name]
        return None

    def missing(self, opt_out_languages: Iterable[str]) -> Iterator[str]:
        """Yield a sentence for each language without a text that another language has.

        ``opt_out_languages`` have the replies to opt-out words.
        """
        languages: dict[str, set[str]] = {}
        for table in self.tables:
            if table.language is not None:
                languages.setdefault(table.language, set()).update(table.texts)
        for language in self.service_languages.values():
            languages.setdefault(language, set())
        known = set(opt_out_languages)
        wanted = set().union(*languages.values())
        for language, texts in languages.items():
            shipped = set(OPT_OUT_REPLIES) if language.partition("-")[0] in known else set()
            if lacking := [name for name in REPLY_NAMES if name in wanted - texts - shipped]:
                others = sorted(other for other, has in languages.items() if has.issuperset(lacking[:1]))
                yield (
                    f"router.toml: the replies in {language} have no {', '.join(lacking)}, which {others[0]}"
                    " has: contacts of this language get the default"
                )


def _with_general_ones(languages: Iterable[str | None]) -> Iterator[str]:
    """Yield each language once, and behind "pt-BR" also "pt"."""
    found = (one for language in languages if language for one in (language, language.partition("-")[0]))
    yield from dict.fromkeys(found)


class HasOwnReplies(Protocol):
    """What has the replies of the configuration in use."""

    replies: OwnReplies


@dataclass(frozen=True, slots=True)
class OwnReply:
    """One of the router's own replies in the place of a template."""

    name: str
    default: Reply
    owner: HasOwnReplies = field(compare=False)

    def reply(self, message: InboundMessage, _argument: str, _keyword: str, profile: str = "") -> Reply:
        return self.owner.replies.choose(self.name, self.default, message, profile)
