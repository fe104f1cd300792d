"""What can happen: the kinds of events, their bytes, and what they say together.

Pure data and pure functions. Read ``kinds`` first.
"""

from tinyagent.events.codec import canonical, decode, digest, encode, plain, record_of
from tinyagent.events.conversation import Conversation, View
from tinyagent.events.kinds import KINDS, Event, Fact, Failure, Record, UnknownEvent
from tinyagent.events.messages import Message
from tinyagent.events.redaction import Redact, Redactor
from tinyagent.events.settings import Settings

__all__ = [
    "KINDS",
    "Conversation",
    "Event",
    "Fact",
    "Failure",
    "Message",
    "Record",
    "Redact",
    "Redactor",
    "Settings",
    "UnknownEvent",
    "View",
    "canonical",
    "decode",
    "digest",
    "encode",
    "plain",
    "record_of",
]
