"""Where the compatible face finds its providers, and their keys. Loads nothing else."""

from __future__ import annotations

DEFAULT_BASE_URLS: dict[str, str] = {
    "openai": "https://api.openai.com/v1/chat/completions",
    "openrouter": "https://openrouter.ai/api/v1/chat/completions",
    "chutes": "https://llm.chutes.ai/v1/chat/completions",
    "minimax": "https://api.minimax.io/v1/chat/completions",
    "minimax-cn": "https://api.minimax.chat/v1/chat/completions",
    "kimi": "https://api.kimi.com/coding",
}
"""The URLs that the compatible face knows. It must not know more: others have to name theirs."""

KEY_VARIABLES: dict[str, tuple[str, ...]] = {
    "openai": ("OPENAI_API_KEY",),
    "openrouter": ("OPENROUTER_API_KEY",),
    "chutes": ("CHUTES_API_KEY",),
    "kimi": ("KIMI_API_KEY",),
    "groq": ("GROQ_API_KEY",),
    "cerebras": ("CEREBRAS_API_KEY",),
    "xai": ("XAI_API_KEY",),
    "zai": ("ZAI_API_KEY",),
    "mistral": ("MISTRAL_API_KEY",),
    "featherless": ("FEATHERLESS_API_KEY",),
    "minimax": ("MINIMAX_API_KEY",),
    "minimax-cn": ("MINIMAX_CN_API_KEY",),
    "anthropic": ("ANTHROPIC_OAUTH_TOKEN", "ANTHROPIC_API_KEY"),
    "google": ("GEMINI_API_KEY",),
    "vercel-ai-gateway": ("AI_GATEWAY_API_KEY",),
}
"""Environment variables with a provider's key, the first that is set counts. The compatible face
refuses to ask one of these without a key, and asks every other provider without one."""
