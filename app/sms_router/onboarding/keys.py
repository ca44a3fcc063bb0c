"""Every key of the numbers on their way in Redis; one hash tag, so that one script may touch them all."""

from __future__ import annotations

from sms_router.store.keys import PREFIX

CHECKLISTS = f"{PREFIX}:{{onboarding}}"
"""The checklists, by number."""

TEXTED = f"{CHECKLISTS}:texted"
"""When numbers on their way were first texted through Twilio, in seconds since the epoch, by number."""

VERSION = f"{CHECKLISTS}:version"
"""How often these were changed; missing where Redis has lost them."""
