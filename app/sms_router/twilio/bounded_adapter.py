"""A transport of ``requests`` that bounds the size of a response and the time to read it.

``requests`` reads a body of any size, and its timeout is for each wait: a server that sends a byte now and
then is never too late.
"""

from __future__ import annotations

import time
from typing import Any

from requests import PreparedRequest, Response
from requests.adapters import HTTPAdapter
from requests.exceptions import ChunkedEncodingError, ReadTimeout
from urllib3.exceptions import HTTPError, ReadTimeoutError

MAX_RESPONSE_BYTES = 16_777_216
"""A page of 1000 messages, the largest that is requested, has some 1.5 MB."""

_CHUNK_BYTES = 65_536


class BoundedAdapter(HTTPAdapter):
    """Reads each response within limits.

    Args:
        seconds: from the request to the end of the response.

    """

    def __init__(self, seconds: float) -> None:
        super().__init__()
        self._seconds = seconds

    def send(self, request: PreparedRequest, *args: Any, **options: Any) -> Response:
        deadline = time.monotonic() + self._seconds
        response = super().send(request, *args, **options)
        content = bytearray()
        try:
            while chunk := response.raw.read1(_CHUNK_BYTES, decode_content=True):
                content += chunk
                if len(content) > MAX_RESPONSE_BYTES:
                    raise ChunkedEncodingError("the response is too large", request=request)
                if time.monotonic() > deadline:
                    raise ReadTimeout("the response takes too long", request=request)
        except ReadTimeoutError as error:
            response.raw.close()
            raise ReadTimeout(error, request=request) from error
        except HTTPError as error:
            response.raw.close()
            raise ChunkedEncodingError(error, request=request) from error
        except (ChunkedEncodingError, ReadTimeout):
            response.raw.close()
            raise
        vars(response).update(_content=bytes(content), _content_consumed=True)
        response.raw.release_conn()
        return response
