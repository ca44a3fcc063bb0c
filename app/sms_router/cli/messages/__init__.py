"""The commands ``messages`` and ``replay``."""
