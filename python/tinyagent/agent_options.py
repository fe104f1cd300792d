"""The options of an agent under the name that the documentation gives their module."""

from tinyagent._config.options import (
    AgentOptions as AgentOptions,
    ApiKeyResolverCallback as ApiKeyResolverCallback,
    ConvertToLlmCallback as ConvertToLlmCallback,
    TransformContextCallback as TransformContextCallback,
)
