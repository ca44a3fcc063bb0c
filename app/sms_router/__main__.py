"""``python -m sms_router`` runs the command line."""

from sms_router.cli import main

main()
