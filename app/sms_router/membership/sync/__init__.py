"""Sender state that workers share through Redis, off the hot path."""
