"""The sids that a configuration names."""

from __future__ import annotations

import re

ACCOUNT_SID = re.compile("AC(?:[0-9a-fA-F]{32}|x{32})")
SERVICE_SID = re.compile("MG(?:[0-9a-fA-F]{32}|x{32})")

PLACEHOLDER = re.compile("[A-Z]{2}x{32}")
"""How documentation writes a sid that is to be filled in: it may stand there, but no webhook names it."""
