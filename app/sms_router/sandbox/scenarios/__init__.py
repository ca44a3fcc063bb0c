"""Conversations as files: who texts what to whom, and what the phone must show.

The ``*.toml`` files beside this one tell the product's story; ``sms-router sandbox run`` plays them,
and a team's own, against any router.
"""
