"""Your keyword handlers: every module in this folder is imported at start.

Drop a file in here, or name your own packages in ``config/router.toml``::

    [router]
    handlers = ["handlers", "acme_sms.keywords"]
"""
