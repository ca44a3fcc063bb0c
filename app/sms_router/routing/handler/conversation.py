"""What a handler remembers of a person between two messages, and who takes the next one."""

from __future__ import annotations

import json
from collections.abc import Collection
from typing import Any, NamedTuple

LARGEST = 4096
"""Bytes of one conversation, as it is kept."""

NOTHING, OVER, OVER_FOR_ALL = b"", b"-", b"!"
"""In place of a conversation: nothing changes; it is over; it is over though another message has the turn."""


class ConversationError(Exception):
    """A conversation cannot be kept as a handler has left it."""


class StoredConversation(NamedTuple):
    """What was kept of a conversation."""

    step: str | None
    """Who takes the next message; None when it is an ordinary one."""
    state: dict[str, Any]
    lasts: float
    """Seconds from each message to the next."""
    expired: bool = False

    @classmethod
    def read(cls, said: bytes | None, left: int | None) -> StoredConversation | None:
        """Read what Redis keeps and for how many milliseconds it holds; None when nothing can be read."""
        if not said or left is None:
            return None
        try:
            known = json.loads(said)
            return cls(known["step"], dict(known["state"]), float(known["lasts"]), left <= 0)
        except (ValueError, KeyError, TypeError):
            return None


class Conversation:
    """One person's conversation with one Service, as a handler sees it.

    Attributes:
        state: whatever the handlers want to remember, as JSON can hold it; 4 KB at the most.
        step: the name of the step that takes this message, None for a keyword.
        expires_after: seconds until it is forgotten, unless the person texts again.

    """

    __slots__ = ("_had", "_over", "expires_after", "kept", "state", "step")

    def __init__(
        self,
        before: StoredConversation | None,
        expires_after: float,
        step: str | None = None,
        *,
        had: bool = False,
    ) -> None:
        """Go on from what was kept ``before``, or begin; ``had`` tells of one that is dropped for it."""
        self.state: dict[str, Any] = before.state if before is not None else {}
        self.step = step
        self.expires_after = before.lasts if before is not None else expires_after
        self.kept = OVER if had and before is None else NOTHING
        """What is to be kept, as the scripts take it."""
        self._had = had or before is not None
        self._over = False

    def end(self) -> None:
        """Forget everything; the person's next message is an ordinary one."""
        self._over = True
        self.state = {}

    def finish(self, then: str | None, steps: Collection[str], declared: bool) -> None:
        """Work out what is to be kept, once the handler has answered; ``then`` takes the next message.

        ``declared`` is False where the handler has not asked for the conversation.

        Raises:
            ConversationError: when it cannot be kept, with what to change.

        """
        if then is not None and then not in steps:
            known = ", ".join(sorted(steps)) or "there is none"
            raise ConversationError(f'no step is called {then!r} (known: {known}); write @step("{then}")')
        if then is None and (self._over or not self.state):
            self.kept = OVER if self._had else NOTHING
        elif then is not None or declared or self.step is not None:
            self.kept = self._written(then)

    def _written(self, then: str | None) -> bytes:
        if not isinstance(self.expires_after, int | float) or self.expires_after <= 0:
            raise ConversationError("conversation.expires_after is a number of seconds above 0")
        try:
            known = {"step": then, "state": self.state, "lasts": self.expires_after}
            written = json.dumps(known, separators=(",", ":"), ensure_ascii=False, allow_nan=False)
        except (TypeError, ValueError, RecursionError) as error:
            raise ConversationError(
                f"conversation.state cannot be kept ({error}); keep texts, numbers, lists and dicts"
            ) from error
        kept = written.encode("utf-8", "backslashreplace")
        if len(kept) > LARGEST:
            raise ConversationError(
                f"conversation.state is too large: {len(kept)} bytes of {LARGEST}; keep an id, and the rest"
                " where it belongs"
            )
        return kept


class EndedConversation(Conversation):
    """A conversation that is over, no matter whose turn it is."""

    __slots__ = ()

    def __init__(self, *, for_all: bool = False) -> None:
        """``for_all`` ends it also where another message has the turn."""
        super().__init__(None, 1.0)
        self.kept = OVER_FOR_ALL if for_all else OVER
