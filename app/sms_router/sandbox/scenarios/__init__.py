"""Conversations as files: who texts what to whom, and what the phone must show.

``sms-router sandbox run`` plays the ``*.toml`` files in this folder, or a team's own, against any router.
"""
