"""What differs between providers, as data. The code that reads it is in the protocols' files.

A row is found by the host that is asked, else by the provider's name. Most of what rows say was
read in recorded requests and answers of that provider, and in the compatibility tables of client
libraries that met the refusal; a comment names the page where there is one.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Generic, Literal, TypeVar
from urllib.parse import urlsplit

import msgspec

from tinyagent.actors.providers.endpoints import DEFAULT_BASE_URLS

API_ALIASES: dict[str, str] = {
    "openai": "openai-completions",
    "openai-compatible": "openai-completions",
    "chat-completions": "openai-completions",
    "minimax": "minimax-completions",
}


class Known(msgspec.Struct, frozen=True):
    """Where a provider is found.

    Attributes:
        url: what ``model.base_url`` holds. ``{NAME}`` in it is an environment variable: whoever
            has an address of their own at that provider says it there.
        keys: environment variables with the key, the first that is set counts; none are needed
            where there are none.
        provider: what the model is recorded under, if not the name in this table.
    """

    api: str
    url: str
    keys: tuple[str, ...] = ()
    provider: str = ""


def _chat(url: str, *keys: str) -> Known:
    return Known("openai-completions", url, keys)


def _gemini() -> Known:
    root = "https://generativelanguage.googleapis.com/v1beta"
    return Known("google-generative-ai", root, ("GEMINI_API_KEY", "GOOGLE_API_KEY"), "google")


KNOWN: dict[str, Known] = {
    "openai": _chat(DEFAULT_BASE_URLS["openai"], "OPENAI_API_KEY"),
    "openai-responses": Known(
        "openai-responses", "https://api.openai.com/v1/responses", ("OPENAI_API_KEY",), "openai"
    ),
    "openrouter": _chat(DEFAULT_BASE_URLS["openrouter"], "OPENROUTER_API_KEY"),
    "chutes": _chat(DEFAULT_BASE_URLS["chutes"], "CHUTES_API_KEY"),
    "minimax": Known("minimax-completions", DEFAULT_BASE_URLS["minimax"], ("MINIMAX_API_KEY",)),
    "minimax-cn": Known(
        "minimax-completions", DEFAULT_BASE_URLS["minimax-cn"], ("MINIMAX_CN_API_KEY",)
    ),
    "kimi": Known("anthropic-messages", DEFAULT_BASE_URLS["kimi"], ("KIMI_API_KEY",)),
    # Not ANTHROPIC_OAUTH_TOKEN, as the compatible face: a token is no `x-api-key`.
    "anthropic": Known("anthropic-messages", "https://api.anthropic.com", ("ANTHROPIC_API_KEY",)),
    "google": _gemini(),
    "gemini": _gemini(),
    # The key is an access token, which lives for an hour: `gcloud auth print-access-token`.
    "vertex": Known(
        "google-generative-ai",
        "https://{GOOGLE_CLOUD_LOCATION}-aiplatform.googleapis.com/v1/projects/"
        "{GOOGLE_CLOUD_PROJECT}/locations/{GOOGLE_CLOUD_LOCATION}/publishers/google",
        ("GOOGLE_OAUTH_ACCESS_TOKEN",),
    ),
    "deepseek": _chat("https://api.deepseek.com/chat/completions", "DEEPSEEK_API_KEY"),
    "groq": _chat("https://api.groq.com/openai/v1/chat/completions", "GROQ_API_KEY"),
    "mistral": _chat("https://api.mistral.ai/v1/chat/completions", "MISTRAL_API_KEY"),
    "xai": _chat("https://api.x.ai/v1/chat/completions", "XAI_API_KEY"),
    "together": _chat("https://api.together.xyz/v1/chat/completions", "TOGETHER_API_KEY"),
    "cerebras": _chat("https://api.cerebras.ai/v1/chat/completions", "CEREBRAS_API_KEY"),
    "zai": _chat("https://api.z.ai/api/paas/v4/chat/completions", "ZAI_API_KEY"),
    "moonshot": _chat("https://api.moonshot.ai/v1/chat/completions", "MOONSHOT_API_KEY"),
    "featherless": _chat("https://api.featherless.ai/v1/chat/completions", "FEATHERLESS_API_KEY"),
    "vercel-ai-gateway": _chat(
        "https://ai-gateway.vercel.sh/v1/chat/completions", "AI_GATEWAY_API_KEY"
    ),
    "azure": _chat("{AZURE_OPENAI_ENDPOINT}/openai/v1/chat/completions", "AZURE_OPENAI_API_KEY"),
    "azure-responses": Known(
        "openai-responses",
        "{AZURE_OPENAI_ENDPOINT}/openai/v1/responses",
        ("AZURE_OPENAI_API_KEY",),
        "azure",
    ),
    "ollama": _chat("http://localhost:11434/v1/chat/completions"),
    "llamacpp": _chat("http://localhost:8080/v1/chat/completions"),
    "vllm": _chat("http://localhost:8000/v1/chat/completions"),
    "lmstudio": _chat("http://localhost:1234/v1/chat/completions"),
}
"""Every provider that can be asked by its name: the first half of ``provider:model``."""


CHOICES = ("auto", "none", "required")
"""What ``options.tool_choice`` may say besides the name of a tool."""


class _Row(msgspec.Struct, frozen=True, kw_only=True):
    """How somebody speaks a protocol.

    Attributes:
        names, hosts: ``model.provider`` and ends of the URL's host that mean this row.
    """

    names: tuple[str, ...] = ()
    hosts: tuple[str, ...] = ()


Row = TypeVar("Row", bound=_Row)


class Rows(Generic[Row]):
    """How providers speak one protocol: *all* of them in rows, everybody else as by *default*."""

    def __init__(self, *rows: Row, default: Row) -> None:
        self.all = rows
        self.default = default
        self._by_host = {host: each for each in rows for host in each.hosts}
        self._by_name = {name: each for each in rows for name in each.names}

    def of(self, model: Mapping[str, Any]) -> Row:
        """Return the row of *model*: that of the host if there is one, else that of the provider.

        The host comes first because it is who really answers, whatever the provider is called.
        """
        host = host_of(model)
        while host:
            if (found := self._by_host.get(host)) is not None:
                return found
            host = host.partition(".")[2]
        name = str(model.get("provider") or "").strip().lower()
        return self._by_name.get(name, self.default)


class ChatRow(_Row, frozen=True, kw_only=True):
    """How somebody speaks chat/completions. The defaults are those of most.

    Attributes:
        without: request fields that are refused, or that do harm.
        system: role of the system prompt while the model reasons.
        limit: the name of the token limit.
        think: how reasoning is asked for: ``effort`` by level; ``thinking``
            ``{"type": "enabled"}``; ``reasoning`` ``{"enabled": true}``; ``split`` MiniMax.
        thoughts: how reasoning goes back if no field of its own is known: as a ``part`` of the
            content, as ``tags`` in the text, or not at all.
        texts: form of a content that is only text.
        ids: what call ids must look like: ``any``, at most 40 characters, or 9 letters and digits.
        assistant: fields that an assistant message with calls must have.
        marks: whether cache breakpoints are read. cache_key: the field for the session's name.
        result_name: whether a tool's name goes with its result.
        holds_schema: whether an answer can be held to a JSON schema.
        tools_always: whether a request with results in it must have a field ``tools``.
        key_header: header of the key; "" = ``authorization: Bearer``.
    """

    without: frozenset[str] = frozenset()
    system: Literal["system", "developer"] = "system"
    limit: Literal["max_completion_tokens", "max_tokens"] = "max_completion_tokens"
    think: Literal["effort", "thinking", "reasoning", "split", "none"] = "effort"
    thoughts: Literal["part", "tags", "none"] = "none"
    texts: Literal["parts", "string"] = "parts"
    ids: Literal["any", "short", "nine"] = "any"
    assistant: tuple[str, ...] = ()
    marks: bool = False
    cache_key: str = ""
    result_name: bool = False
    holds_schema: bool = True
    tools_always: bool = False
    key_header: str = ""


_STORE = frozenset({"store"})
_STRICT = frozenset({"store", "strict"})

CHAT = Rows(
    ChatRow(
        names=("openai",),
        hosts=("api.openai.com",),
        system="developer",
        ids="short",
        cache_key="prompt_cache_key",
    ),
    ChatRow(
        names=("azure", "azure-openai", "azure-openai-responses"),
        hosts=("openai.azure.com", "cognitiveservices.azure.com", "services.ai.azure.com"),
        system="developer",
        ids="short",
        key_header="api-key",
    ),
    ChatRow(names=("openrouter",), hosts=("openrouter.ai",), system="developer", marks=True),
    ChatRow(
        names=("mistral",),
        hosts=("mistral.ai",),
        without=_STORE,
        limit="max_tokens",
        thoughts="part",
        ids="nine",
        cache_key="prompt_cache_key",
        result_name=True,
    ),
    # `instructions` is a field of responses; recorded requests to xAI have a message instead.
    ChatRow(names=("xai",), hosts=("x.ai",), without=_STORE | {"instructions"}, think="none"),
    ChatRow(names=("cerebras",), hosts=("cerebras.ai",), without=_STORE, think="none"),
    ChatRow(
        names=("chutes",), hosts=("chutes.ai",), without=_STORE, limit="max_tokens", think="none"
    ),
    # Content in parts is refused ("expected a string"); an assistant message with calls needs
    # `content`, and while the model thinks also `reasoning_content`, else HTTP 400
    # (api-docs.deepseek.com/guides/thinking_mode).
    ChatRow(
        names=("deepseek",),
        hosts=("deepseek.com",),
        without=_STORE,
        limit="max_tokens",
        think="thinking",
        texts="string",
        holds_schema=False,
        assistant=("content", "reasoning_content"),
    ),
    ChatRow(
        names=("zai", "z-ai", "zhipu"),
        hosts=("z.ai", "bigmodel.cn"),
        without=_STORE,
        think="thinking",
        holds_schema=False,
    ),
    ChatRow(
        names=("moonshot", "moonshotai"),
        hosts=("moonshot.ai", "moonshot.cn", "kimi.com"),
        without=_STRICT,
        limit="max_tokens",
        think="none",
    ),
    ChatRow(
        names=("together", "togetherai"),
        hosts=("together.xyz", "together.ai"),
        without=_STRICT,
        limit="max_tokens",
        think="reasoning",
    ),
    ChatRow(
        names=("cloudflare", "cloudflare-ai-gateway"),
        hosts=("gateway.ai.cloudflare.com",),
        without=_STRICT,
        limit="max_tokens",
        think="none",
    ),
    ChatRow(names=("featherless",), hosts=("featherless.ai",), limit="max_tokens"),
    # Gemini's OpenAI endpoint refuses fields that it does not know.
    ChatRow(
        names=("google", "gemini"),
        hosts=("googleapis.com",),
        without=_STORE,
        limit="max_tokens",
    ),
    # Behind it may be Anthropic, which refuses results without it; OpenAI refuses an empty list.
    ChatRow(names=("litellm", "litellm-proxy"), tools_always=True),
    # Local servers that ignore `max_completion_tokens`.
    ChatRow(names=("ollama",), hosts=("ollama.com",), limit="max_tokens"),
    ChatRow(names=("lmstudio",), limit="max_tokens"),
    default=ChatRow(),
)
MINIMAX = ChatRow(
    names=("minimax", "minimax-cn"),
    without=_STORE,
    limit="max_tokens",
    think="split",
    thoughts="tags",
    holds_schema=False,
)


class MessagesRow(_Row, frozen=True, kw_only=True):
    """How somebody speaks Anthropic's messages.

    Attributes:
        bearer: the key goes as ``authorization: Bearer``, else as ``x-api-key``.
        beta: value of ``anthropic-beta``. checked: ids and signatures must be Anthropic's own form.
    """

    bearer: bool = False
    beta: str = "interleaved-thinking-2025-05-14"
    checked: bool = False


MESSAGES = Rows(
    MessagesRow(names=("anthropic",), hosts=("anthropic.com",), checked=True),
    MessagesRow(names=("kimi",), hosts=("kimi.com",), bearer=True, beta=""),
    MessagesRow(
        names=("minimax", "minimax-cn"),
        hosts=("minimax.io", "minimaxi.com", "minimax.chat"),
        bearer=True,
        beta="",
    ),
    MessagesRow(names=("openrouter",), hosts=("openrouter.ai",), bearer=True, checked=True),
    default=MessagesRow(),
)

ADAPTIVE = re.compile(r"claude-(?:opus-4[-.](?:[7-9]|\d\d)(?!\d)|[a-z]+-[5-9](?!\d))")
"""Models that refuse a budget and take ``{"type": "adaptive"}`` with an effort instead
(platform.claude.com, extended thinking: from Opus 4.7 on)."""

FORMS = re.compile(
    r"claude-(?:opus-4[-.](?:[1-9]|\d\d)(?!\d)|[a-z]+-4[-.](?:[5-9]|\d\d)(?!\d)|[a-z]+-[5-9](?!\d))"
)
"""Anthropic's models that hold an answer to a schema (platform.claude.com, structured outputs)."""

REASONS = re.compile(r"(?:^|/)(?:o[1-9]|gpt-[5-9](?!.*chat)|gpt-oss|codex)")
"""OpenAI's models that reason unasked. To all others it refuses to give encrypted reasoning."""

GEMINI_LEVELS = re.compile(r"gemini-[3-9]")
"""Models that take a level of thinking; older ones take a budget."""


def host_of(model: Mapping[str, Any]) -> str:
    """Return the host that *model*'s URL names, in lower case; "" if it names none."""
    try:
        return (urlsplit(str(model.get("base_url") or "")).hostname or "").lower()
    except ValueError:
        return ""


def holds_schema(model: Mapping[str, Any], *, has_tools: bool) -> bool:
    """Say whether *model* can be asked for an answer of a given form: ``options.output``."""
    match model.get("api"):
        case "openai-completions":
            return CHAT.of(model).holds_schema
        case "minimax-completions":
            return MINIMAX.holds_schema
        case "anthropic-messages":
            speaks = MESSAGES.of(model)
            return speaks.checked and bool(FORMS.search(str(model.get("id") or "")))
        case "google-generative-ai":
            # Older ones refuse a form together with functions.
            return not has_tools or bool(GEMINI_LEVELS.search(str(model.get("id") or "")))
        case _:
            return True


def level_of(model: Mapping[str, Any], options: Mapping[str, Any]) -> str:
    """Return how hard the model shall think: a level, ``on`` without a level, or ``off``."""
    for said in (options.get("reasoning"), model.get("reasoning")):
        if said is True:
            return "on"
        if said and said != "off":
            return str(getattr(said, "value", said))
    return "off"


MODEL_MAX_TOKENS = 4096
"""``model.max_tokens`` of a model that nobody described; as a limit it would cut long answers."""


def limit_of(model: Mapping[str, Any], options: Mapping[str, Any]) -> int | None:
    """Return how many tokens the answer may have; None if nobody said."""
    if (limit := options.get("max_tokens")) is not None:
        return int(limit)
    described = model.get("max_tokens")
    return described if described and described != MODEL_MAX_TOKENS else None
