"""``Accounts``: the sandbox's only account, and the token that signs its webhooks."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from sms_router.sandbox.rest.paging import classic_list, paginate
from sms_router.sandbox.rest.responses import Json, not_found, rfc2822
from sms_router.sandbox.state.account import Account
from sms_router.sandbox.world.numbers import FIRST_DAY

_SUBRESOURCES = {
    "incoming_phone_numbers": "IncomingPhoneNumbers",
    "messages": "Messages",
    "short_codes": "SMS/ShortCodes",
}
"""What the sandbox has; Twilio lists more."""


class AccountResource:
    """The account: list and fetch."""

    def __init__(self, account: Account, auth_token: str) -> None:
        self._account = account
        self._auth_token = auth_token

    def routes(self) -> list[Route]:
        return [
            Route("/2010-04-01/Accounts.json", self.list_all, methods=["GET"]),
            Route("/2010-04-01/Accounts/{sid}.json", self.fetch, methods=["GET"]),
        ]

    async def list_all(self, request: Request) -> Response:
        query = request.query_params
        is_listed = query.get("Status") in (None, "", "active") and query.get("FriendlyName") in (
            None,
            "",
            self._account.friendly_name,
        )
        page = paginate([self._account] if is_listed else [], request)
        return JSONResponse(classic_list(request, "accounts", page, self._render))

    async def fetch(self, request: Request) -> Response:
        if request.path_params["sid"] != self._account.sid:
            raise not_found(request)
        return JSONResponse(self._render(self._account))

    def _render(self, account: Account) -> Json:
        uri = f"/2010-04-01/Accounts/{account.sid}"
        return {
            "sid": account.sid,
            "auth_token": self._auth_token,
            "date_created": rfc2822(FIRST_DAY),
            "date_updated": rfc2822(FIRST_DAY),
            "friendly_name": account.friendly_name,
            "owner_account_sid": account.sid,
            "status": "active",
            "type": "Full",
            "subresource_uris": {name: f"{uri}/{path}.json" for name, path in _SUBRESOURCES.items()},
            "uri": f"{uri}.json",
        }
