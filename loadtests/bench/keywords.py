"""The keywords of every stack, and their replies."""

from __future__ import annotations

REPLIES = {
    "HOURS": "We are open 9 to 5, {city}.",
    "OPEN": "We are open 9 to 5, {city}.",
    "MENU": "Today: lentil soup, pasta with sage or the green salad.",
    "VOTE": "Thank you, your vote counts.",
    "BALANCE": "Your balance is 12.50. Text HOURS to find us.",
    "WHERE": "12 Pine Street, two blocks from the station.",
    "JOBS": "We are looking for cooks. Write to jobs@example.com.",
    "WIFI": "The guest network is called Bistro.",
}
"""Replies by first word; ``{city}`` is the webhook's ``FromCity``."""

DEFAULT_REPLY = "Text HOURS, MENU or VOTE."
