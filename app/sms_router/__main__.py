"""``python -m app`` is the command line."""

from sms_router.cli import main

main()
