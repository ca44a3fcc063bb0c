"""Each message claimed once, answered once (idempotent consumer)."""
