"""The commands ``serve``, ``sandbox`` and ``text``."""
