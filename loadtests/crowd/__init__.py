"""The people who text, as Twilio tells of them, and what they must be answered.

Shared by `make load` and `make chaos`. Nothing here needs more than the standard library, except
`handlers`, which the router under test loads.
"""
