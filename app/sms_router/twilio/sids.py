"""Patterns of the sids in a configuration."""

from __future__ import annotations

import re

ACCOUNT_SID = re.compile("AC(?:[0-9a-fA-F]{32}|x{32})")
SERVICE_SID = re.compile("MG(?:[0-9a-fA-F]{32}|x{32})")

PLACEHOLDER = re.compile("[A-Z]{2}x{32}")
"""A placeholder in an example. It is a valid configuration, but no webhook contains it."""
