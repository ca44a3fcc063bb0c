"""The contacts, the texts that they send, and the replies that are expected.

`make load` and `make chaos` use it. It needs the standard library only, except `handlers`, which the router
under test loads.
"""
