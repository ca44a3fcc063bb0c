"""The ``sms`` fixture: texts a team's keywords, templates and handlers as a person would, without a network.

pytest loads it by itself where sms-router is installed; annotate it as ``sms: SmsTester``.
"""

from sms_router.testing.errors import HandlerFailedError
from sms_router.testing.http import HttpRequest, HttpService
from sms_router.testing.tester import Received, SmsClock, SmsPhone, SmsTester, Texted, Undelivered

__all__ = [
    "HandlerFailedError",
    "HttpRequest",
    "HttpService",
    "Received",
    "SmsClock",
    "SmsPhone",
    "SmsTester",
    "Texted",
    "Undelivered",
]
