"""The documents of a port or a lease, and what would get them rejected; pure."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import date
from enum import StrEnum
from typing import Self

MAX_BILL_AGE_DAYS = 30
"""Twilio accepts the most recent phone bill, within the last 30 days."""

_POST_OFFICE_BOX = re.compile(
    r"\b(?:p\.?\s*o\.?\s*(?:box|b\b)|post\s+office\s+box|(?:gpo|locked)\s+(?:box|bag)"
    r"|postfach|postbus|bo[iî]te\s+postale|case\s+postale|b\.?p\.?\s+\d+"
    r"|apartado|casilla(?:\s+postal)?|caixa\s+postal|casella\s+postale)",
    re.IGNORECASE,
)


class LabeledEnum(StrEnum):
    """An option of the command: each value, and its label for sentences."""

    label: str

    def __new__(cls, value: str, label: str = "") -> Self:
        member = str.__new__(cls, value)
        member._value_, member.label = value, label
        return member


class DocumentKind(LabeledEnum):
    """A document that can be recorded."""

    LOA = "loa", "the letter of authorization (LOA)"
    CSR = "csr", "the Customer Service Record (CSR)"
    BILL = "bill", "the phone bill"
    RECEIPT = "receipt", "the lease receipt"
    LETTER = "letter", "the lease transfer letter"
    GAINING_LETTER = "gaining-letter", "the letter of Twilio as the gaining applicant"


_SAME_NAMES = ((DocumentKind.LOA, DocumentKind.CSR), (DocumentKind.LETTER, DocumentKind.RECEIPT))
"""Documents that must show the same name."""


@dataclass(frozen=True, slots=True)
class RecordedDocument:
    """A document as an operator has recorded it."""

    kind: DocumentKind
    day: date
    """Its own date."""
    name: str = ""
    """The owner or authorized user that it shows; empty when it was not recorded."""
    address: str = ""
    """The service address that it shows; empty when it was not recorded."""


def document_problems(documents: Mapping[DocumentKind, RecordedDocument], today: date) -> Iterator[str]:
    """Yield why documents would be rejected, one sentence each without a full stop."""
    for document in documents.values():
        yield from _problems_of(document, today)
    for first, second in _SAME_NAMES:
        if first in documents and second in documents:
            names = documents[first].name, documents[second].name
            if all(names) and _normalize(names[0]) != _normalize(names[1]):
                shown = f"{first.label} shows the name {names[0]}, and {second.label} {names[1]}"
                yield f"{shown}: they must be the same"


def _problems_of(document: RecordedDocument, today: date) -> Iterator[str]:
    age = (today - document.day).days
    if age < 0:
        yield f"the date of {document.kind.label}, {document.day}, is in the future"
    if document.kind is DocumentKind.BILL and age > MAX_BILL_AGE_DAYS:
        yield f"{document.kind.label} is {age} days old; it may be {MAX_BILL_AGE_DAYS} days old at most"
    if _POST_OFFICE_BOX.search(document.address):
        yield f"{document.kind.label} shows a PO box, {document.address}; a physical address is required"


def _normalize(name: str) -> str:
    return " ".join(name.casefold().split())
