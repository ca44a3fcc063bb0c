"""Which rule takes a message, what responds, and how rules are loaded and reloaded."""
