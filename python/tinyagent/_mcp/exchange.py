"""The HTTP client that an MCP server is asked by: what it reads has an end, and so has waiting."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import httpx2

SEND_S = 30.0
"""Time for connecting, and for sending something."""
LEAVE_S = 1.0
"""Time for telling a server that its session is over."""
STATUSES: ContextVar[list[int] | None] = ContextVar("STATUSES", default=None)
"""The statuses of the answers to what was sent from a context that has such a list."""


def bounded(headers: Mapping[str, str], bytes_max: int) -> httpx2.AsyncClient:
    """Return a client that reads answers in one piece up to *bytes_max* bytes."""
    import httpx2

    class Bounded(httpx2.AsyncByteStream):
        """An answer that fails when it is too long."""

        def __init__(self, stream: Any) -> None:
            self._stream = stream

        async def __aiter__(self) -> AsyncIterator[bytes]:
            left = bytes_max
            async for chunk in self._stream:
                left -= len(chunk)
                if left < 0:
                    raise httpx2.StreamError(f"an answer of more than {bytes_max} bytes")
                yield chunk

        async def aclose(self) -> None:
            await self._stream.aclose()

    async def sent(request: httpx2.Request) -> None:
        if request.method == "DELETE":  # the end of the session: nobody waits long for it
            request.extensions["timeout"] = httpx2.Timeout(LEAVE_S).as_dict()

    async def answered(response: httpx2.Response) -> None:
        statuses = STATUSES.get()
        if statuses is not None:
            statuses.append(response.status_code)
        if response.headers.get("content-type", "").startswith("application/json"):
            response.stream = Bounded(response.stream)

    return httpx2.AsyncClient(
        # What is small when it arrives shall not be large when it is unpacked.
        headers={"accept-encoding": "identity", **headers},
        timeout=httpx2.Timeout(SEND_S, read=None),  # a call is bounded by its own time
        event_hooks={"request": [sent], "response": [answered]},
    )
