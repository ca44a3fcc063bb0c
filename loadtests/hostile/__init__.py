"""What strangers on the port cost: forged requests, idle connections, and people without number."""
