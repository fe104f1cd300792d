"""Conversation in, request bytes out: one file per protocol, and nothing that waits.

A provider is pure: the same settings and messages give the same bytes. The way back, bytes to
pieces, exists once, in ``rust/decode``.

====================  ===========================================================================
``openai``            chat completions, and MiniMax's dialect of them
``anthropic``         messages
``responses``         OpenAI's responses
``gemini``            generateContent
``table``             what differs between those who speak one protocol, as data
``endpoints``         where the compatible face finds them, and their keys
``repair``            what a history needs before any provider takes it
``content``           what messages hold, whatever the protocol
``encoding``          JSON as providers take it, and the request around a body
``history``           what was encoded before
====================  ===========================================================================

Reasoning, signatures and whatever else a provider attached (``Block.sign``, ``Block.keep``) go
back byte for byte, where they came from, and only to the model that they came from: provider, id
and api of the answer must be those of the request.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import cache
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from tinyagent.actors.providers.history import Parts
    from tinyagent.actors.transports import HttpRequest
    from tinyagent.events.messages import Message
    from tinyagent.events.settings import Settings


class Provider(Protocol):
    """Speaks one protocol. Keep one per session.

    It remembers the encoded messages of the last body, so that the next body of the same
    conversation costs what is new in it; shared between conversations it is right, but slow.

    Attributes:
        api: the protocol: ``openai-completions``, ``anthropic-messages``, ...
    """

    api: str

    def body(self, settings: Settings, messages: Sequence[Message]) -> bytes:
        """Return the body that asks for the next message of *messages*.

        Equal arguments give equal bytes, whatever was asked before. The history is repaired on
        the way, never refused.
        """
        ...

    def parts(self, settings: Settings, messages: Sequence[Message]) -> Parts:
        """Return the same in parts, which a longer body of the same conversation shares."""
        ...

    def request(
        self, settings: Settings, body: bytes, *, key: str | None, headers: Mapping[str, str]
    ) -> HttpRequest:
        """Return the request that carries *body*.

        Args:
            key: the API key; None where the provider takes none.
            headers: the user's own. They come last and replace any of the same name; one that
                HTTP does not allow is left out.
        """
        ...


def provider_for(api: str) -> Provider:
    """Return a new provider for the protocol *api*.

    Raises:
        ValueError: no provider speaks it.
    """
    return _made_by(api)()


@cache
def _made_by(api: str) -> Callable[[], Provider]:
    # Imported here: the providers import this package's other files, hence the package.
    match api:
        case "openai-completions":
            from tinyagent.actors.providers.openai import ChatCompletions

            return ChatCompletions
        case "minimax-completions":
            from tinyagent.actors.providers.openai import MiniMaxCompletions

            return MiniMaxCompletions
        case "anthropic-messages":
            from tinyagent.actors.providers.anthropic import Messages

            return Messages
        case "openai-responses":
            from tinyagent.actors.providers.responses import Responses

            return Responses
        case "google-generative-ai":
            from tinyagent.actors.providers.gemini import GenerateContent

            return GenerateContent
        case _:
            raise ValueError(f"unsupported api `{api}`")
