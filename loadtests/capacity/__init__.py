"""How much of Redis one message and one person take."""
