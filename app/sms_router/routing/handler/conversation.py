"""Conversations: the state of a contact between two messages, and the step that takes the next one."""

from __future__ import annotations

import json
from collections.abc import Collection
from typing import Any, NamedTuple

MAX_BYTES = 4096
"""The size of one serialized conversation."""

UNCHANGED, ENDED, ENDED_FOR_ALL = b"", b"-", b"!"
"""Sent to the scripts in place of a conversation: nothing changes; it has ended; it has ended although
another message of the contact is being handled."""


class ConversationError(Exception):
    """A conversation cannot be stored as a handler has left it; the text contains the remedy."""


class StoredConversation(NamedTuple):
    """A conversation as it is stored."""

    step: str | None
    """The step that takes the next message; None if its keyword does."""
    state: dict[str, Any]
    expires_after: float
    """Seconds after the last message."""
    is_expired: bool = False

    @classmethod
    def parse(cls, serialized: bytes | None, remaining_ms: int | None) -> StoredConversation | None:
        """Parse a stored conversation; return None if there is none, or it cannot be parsed.

        ``remaining_ms`` are the milliseconds until it expires, or a negative number after that.
        """
        if not serialized or remaining_ms is None:
            return None
        try:
            fields = json.loads(serialized)
            return cls(fields["step"], dict(fields["state"]), float(fields["lasts"]), remaining_ms <= 0)
        except (ValueError, KeyError, TypeError):
            return None


class Conversation:
    """The conversation of one contact with one Service, for handlers that declare ``conversation``.

    It is stored when the handler's reply is, and not if the handler fails.

    Attributes:
        state: JSON values that the handlers store, at most 4 KB.
        step: the name of the step that handles this message; None in the function of a keyword.
        expires_after: seconds after the last message until the conversation is deleted.

    """

    __slots__ = ("_before", "_exists", "_is_ended", "expires_after", "serialized", "state", "step")

    def __init__(
        self,
        stored: StoredConversation | None,
        expires_after: float,
        step: str | None = None,
        *,
        replaces_other: bool = False,
    ) -> None:
        """Continue a stored conversation, or begin one, which ``expires_after`` some seconds.

        With ``replaces_other`` another one is stored, which this one replaces.
        """
        self.state: dict[str, Any] = stored.state if stored is not None else {}
        self.step = step
        self.expires_after = stored.expires_after if stored is not None else expires_after
        self._before = ENDED if replaces_other and stored is None else UNCHANGED
        self.serialized = self._before
        """What is to be stored, as the scripts receive it."""
        self._exists = replaces_other or stored is not None
        self._is_ended = False

    @property
    def begins(self) -> bool:
        """Whether no conversation with the contact is in progress."""
        return self.step is None and not self.state

    def end(self) -> None:
        """End the conversation and delete its state; the next message is matched with keywords again."""
        self._is_ended = True
        self.state = {}

    def finish(self, next_step: str | None, steps: Collection[str], is_declared: bool) -> None:
        """Serialize the conversation after the handler, or a middleware around it, has returned.

        ``steps`` are the names of all steps; ``is_declared`` tells whether the handler declares
        ``conversation``.

        Raises:
            ConversationError: when it cannot be stored.

        """
        if next_step is not None and next_step not in steps:
            names = ", ".join(sorted(steps)) or "there is none"
            raise ConversationError(
                f'no step has the name {next_step!r} (steps: {names}); write @step("{next_step}")'
            )
        self.discard()
        if next_step is None and (self._is_ended or not self.state):
            self.serialized = ENDED if self._exists else UNCHANGED
        elif next_step is not None or is_declared or self.step is not None:
            self.serialized = self._serialize(next_step)

    def discard(self) -> None:
        """Store nothing of what the handler has changed."""
        self.serialized = self._before

    def _serialize(self, next_step: str | None) -> bytes:
        if not isinstance(self.expires_after, int | float) or self.expires_after <= 0:
            raise ConversationError("conversation.expires_after is a number of seconds above 0")
        try:
            fields = {"step": next_step, "state": self.state, "lasts": self.expires_after}
            text = json.dumps(fields, separators=(",", ":"), ensure_ascii=False, allow_nan=False)
        except (TypeError, ValueError, RecursionError) as error:
            raise ConversationError(
                f"conversation.state cannot be stored ({error}); use texts, numbers, lists and dicts"
            ) from error
        serialized = text.encode("utf-8", "backslashreplace")
        if len(serialized) > MAX_BYTES:
            raise ConversationError(
                f"conversation.state is too large: {len(serialized)} bytes of {MAX_BYTES}; store an id, and"
                " the rest elsewhere"
            )
        return serialized


class EndedConversation(Conversation):
    """A conversation that ends with this message.

    With ``for_all`` it ends although another message of the contact is being handled.
    """

    __slots__ = ()

    def __init__(self, *, for_all: bool = False) -> None:
        super().__init__(None, 1.0)
        self.serialized = ENDED_FOR_ALL if for_all else ENDED
