"""What a team's handlers store of a contact: the language, and attributes."""

from __future__ import annotations

import json
import re
from typing import Any

MAX_ATTRIBUTES = 32
MAX_BYTES = 2048
"""Of all attributes of a contact, as they are stored."""

LANGUAGE = re.compile(r"[a-z]{2,3}(-[A-Za-z0-9]{2,8})*")
_KEY = "@"
"""In front of the names of attributes."""

AttributeValue = str | int | float | bool


class ProfileError(Exception):
    """What a handler has set cannot be stored; the text contains the remedy."""


class HandlerContact:
    """A contact in a Messaging Service; what is set is stored with the reply, and not if the handler fails.

    Attributes:
        number: in E.164, or ``channel:address``.
        language: like "es" or "pt-BR", in which the router's own replies are sent; None where none is known.
        attributes: texts, numbers and truth values by name.

    """

    __slots__ = ("_stored", "attributes", "language", "number")

    def __init__(self, number: str, profile: str = "", attributes_type: type[dict[str, Any]] = dict) -> None:
        self.number = number
        self._stored: dict[str, str] = json.loads(profile) if profile else {}
        self.language: str | None = language_of(profile)
        self.attributes: dict[str, AttributeValue] = attributes_type(
            (name[1:], json.loads(value)) for name, value in self._stored.items() if name[:1] == _KEY
        )

    def changes(self) -> dict[str, str | bool]:
        """Return what has been set, as the script takes it: False for what is removed.

        Raises:
            ProfileError: when it cannot be stored.

        """
        if self.language is not None and not (
            isinstance(self.language, str) and LANGUAGE.fullmatch(self.language)
        ):
            raise ProfileError(f'contact.language is like "es" or "pt-BR", not {self.language!r:.80}')
        for name, value in self.attributes.items():
            if not isinstance(name, str) or not isinstance(value, AttributeValue):
                raise ProfileError(
                    "contact.attributes has texts, numbers and truth values by name, not"
                    f" {name!r:.40}: {value!r:.80}"
                )
        new = {f"{_KEY}{name}": json.dumps(value) for name, value in self.attributes.items()}
        size = sum(len(name) + len(value) for name, value in new.items())
        if len(new) > MAX_ATTRIBUTES or size > MAX_BYTES:
            raise ProfileError(
                f"contact.attributes is too large: {len(new)} of {MAX_ATTRIBUTES}, {size} bytes of"
                f" {MAX_BYTES}; store an id, and the rest elsewhere"
            )
        if self.language is not None:
            new["language"] = json.dumps(self.language)
        removed = self._stored.keys() - new.keys()
        changed = {name: value for name, value in new.items() if self._stored.get(name) != value}
        return {**dict.fromkeys(sorted(removed), False), **changed}


class TemplateAttributes(dict[str, Any]):
    """The attributes for templates, where one that is not set is nothing."""

    def __missing__(self, name: str) -> None:
        return None


def language_of(profile: str) -> str | None:
    if '"language"' not in profile:
        return None
    language: str | None = json.loads(json.loads(profile).get("language", "null"))
    return language
