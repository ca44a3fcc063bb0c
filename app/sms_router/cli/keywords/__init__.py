"""The commands ``keywords``, ``explain`` and ``opt-outs``."""
