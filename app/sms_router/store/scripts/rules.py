"""The call of the script that publishes rules; redis-py runs it."""

from __future__ import annotations

from sms_router.store.keys import RULES_CHANNEL, RULES_CURRENT, RULES_DESCRIPTIONS, RULES_DOCUMENTS
from sms_router.store.scripts.loader import SCRIPTS, Call


def publish_rules(
    *, expected: str, digest: str, description: bytes, document: bytes, max_versions: int
) -> Call:
    """Make a document the current version of the rules, if ``expected`` is still the current one."""
    arguments = (expected, digest, description, document, max_versions, RULES_CHANNEL)
    return SCRIPTS["publish_rules"], (RULES_CURRENT, RULES_DESCRIPTIONS, RULES_DOCUMENTS), arguments
