"""What stands between Twilio and a customer's application in life: the proxy behind its public URL."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class ReverseProxy:
    """Takes what is sent to ``public_url`` to ``local_url``; both without a slash at the end.

    So an application can be tried under the name that it will have, which signatures are made over,
    before that name leads anywhere; a path in ``public_url`` is cut off on the way.
    """

    public_url: str
    local_url: str

    def forward(self, url: str) -> str:
        """Return where a request for this URL is taken; one for somebody else stays as it is."""
        rest = url.removeprefix(self.public_url)
        return self.local_url + rest if rest != url and rest[:1] in ("", "/", "?") else url
