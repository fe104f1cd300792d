"""What a transport of your own is made of: give it to ``Agent(transport=...)``.

A ``Transport`` opens an ``Exchange`` for each ``HttpRequest``. Whoever has the answer as bytes
hands them to a ``ByteExchange`` as ``Bytes``, and needs no decoder: it decodes, times and cuts
into pieces, and says what an error answer means. ``testing.TransportContract`` tells whether the
transport keeps to what an agent relies on. ``Failure`` is all that it may raise.
"""

from tinyagent.actors.transports import (
    Answer as Answer,
    Exchange as Exchange,
    Failure as Failure,
    HttpRequest as HttpRequest,
    Timed as Timed,
    Transport as Transport,
)
from tinyagent.actors.transports.exchange import ByteExchange as ByteExchange, Bytes as Bytes

__all__ = [
    "Answer",
    "ByteExchange",
    "Bytes",
    "Exchange",
    "Failure",
    "HttpRequest",
    "Timed",
    "Transport",
]
