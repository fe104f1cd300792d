"""Documents and recordings: they come as images whose type says what they are."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tinyagent.actors.providers import provider_for
from tinyagent.events.messages import Message, User
from tinyagent.events.settings import Settings

PDF = {"type": "image", "url": "data:application/pdf;base64,JVBERi0="}
BARE_PDF = {"type": "image", "url": "JVBERi0=", "mime_type": "application/pdf"}
FAR_PDF = {"type": "image", "url": "https://h/a.pdf", "mime_type": "application/pdf"}
WAV = {"type": "image", "url": "data:audio/wav;base64,UklGRg=="}
MP3 = {"type": "image", "url": "data:audio/mpeg;base64,SUQz"}


def sent(api: str, part: dict[str, Any]) -> Any:
    messages: list[Message] = [User(1, [{"type": "text", "text": "Read."}, part])]
    found = json.loads(provider_for(api).body(Settings(model={"id": "m", "api": api}), messages))
    field, parts = {
        "openai-completions": ("messages", "content"),
        "openai-responses": ("input", "content"),
        "anthropic-messages": ("messages", "content"),
        "google-generative-ai": ("contents", "parts"),
    }[api]
    return found[field][0][parts][1]


@pytest.mark.parametrize("part", [PDF, BARE_PDF])
def test_a_document_is_sent_in_each_protocols_own_form(part: dict[str, Any]) -> None:
    url = "data:application/pdf;base64,JVBERi0="
    assert sent("openai-completions", part) == {
        "type": "file",
        "file": {"filename": "document.pdf", "file_data": url},
    }
    assert sent("openai-responses", part) == {
        "type": "input_file",
        "filename": "document.pdf",
        "file_data": url,
    }
    assert sent("anthropic-messages", part) == {
        "type": "document",
        "source": {"type": "base64", "media_type": "application/pdf", "data": "JVBERi0="},
    }
    assert sent("google-generative-ai", part) == {
        "inlineData": {"mimeType": "application/pdf", "data": "JVBERi0="}
    }


def test_a_document_elsewhere_is_named_by_its_address() -> None:
    assert sent("openai-completions", FAR_PDF) == {
        "type": "file",
        "file": {"filename": "document.pdf", "file_data": "https://h/a.pdf"},
    }
    assert sent("openai-responses", FAR_PDF) == {
        "type": "input_file",
        "file_url": "https://h/a.pdf",
    }
    assert sent("anthropic-messages", FAR_PDF) == {
        "type": "document",
        "source": {"type": "url", "url": "https://h/a.pdf"},
    }
    assert sent("google-generative-ai", FAR_PDF) == {
        "fileData": {"mimeType": "application/pdf", "fileUri": "https://h/a.pdf"}
    }


@pytest.mark.parametrize(("part", "data", "form"), [(WAV, "UklGRg==", "wav"), (MP3, "SUQz", "mp3")])
def test_a_recording_is_sent_to_those_who_listen(
    part: dict[str, Any], data: str, form: str
) -> None:
    assert sent("openai-completions", part) == {
        "type": "input_audio",
        "input_audio": {"data": data, "format": form},
    }
    kind = {"wav": "audio/wav", "mp3": "audio/mpeg"}[form]
    assert sent("google-generative-ai", part) == {"inlineData": {"mimeType": kind, "data": data}}


def test_who_has_no_place_for_a_recording_tells_the_model_so() -> None:
    told = "(audio/wav left out: it cannot be sent to this model)"
    assert sent("anthropic-messages", WAV) == {"type": "text", "text": told}
    assert sent("openai-responses", WAV) == {"type": "input_text", "text": told}
