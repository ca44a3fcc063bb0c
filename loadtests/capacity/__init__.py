"""The memory in Redis of one message and one contact."""
