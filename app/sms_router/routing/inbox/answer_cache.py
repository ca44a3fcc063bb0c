"""What a worker remembers of the messages that it has answered, for when Redis is away."""

from __future__ import annotations

from collections import OrderedDict
from typing import TypeVar

from sms_router.routing.inbox.answer import Answer

MAX_ENTRIES = 10_000
"""Answers kept in each worker."""

LARGEST_REMEMBERED = 4096
"""Bytes of an answer that is kept."""

Kept = TypeVar("Kept")


class AnswerCache:
    """The newest answers of one worker, and which messages it gave back, by their references."""

    def __init__(self) -> None:
        """Begin with nothing."""
        self._answers: OrderedDict[str, Answer] = OrderedDict()
        self._released: OrderedDict[str, None] = OrderedDict()

    def answer(self, reference: str) -> Answer | None:
        """Return the answer of a message, if it is still known."""
        return self._answers.get(reference)

    def keep(self, reference: str, answer: Answer) -> Answer:
        """Remember an answer, unless it is too large, and return it."""
        if len(answer.document) <= LARGEST_REMEMBERED:
            _keep_newest(self._answers, reference, answer)
        return answer

    def release(self, reference: str) -> None:
        """Remember that a message was given back, for Twilio's fallback request to take over."""
        _keep_newest(self._released, reference, None)

    def was_released(self, reference: str) -> bool:
        """Tell whether this worker gave the message back."""
        return reference in self._released


def _keep_newest(kept: OrderedDict[str, Kept], reference: str, value: Kept) -> None:
    kept[reference] = value
    if len(kept) > MAX_ENTRIES:
        kept.popitem(last=False)
