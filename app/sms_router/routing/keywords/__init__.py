"""Rules and how a text is matched to one."""
