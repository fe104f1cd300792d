"""The options of an agent under the name that the documentation gives their module."""

from tinyagent._options import (
    AgentOptions,
    ApiKeyResolverCallback,
    ConvertToLlmCallback,
    TransformContextCallback,
)

__all__ = [
    "AgentOptions",
    "ApiKeyResolverCallback",
    "ConvertToLlmCallback",
    "TransformContextCallback",
]
