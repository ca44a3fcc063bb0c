"""The commands ``senders``, ``short-codes`` and ``membership``."""
