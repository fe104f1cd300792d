"""A host's configuration as the log holds it."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any

from tinyagent.actors.providers.hosted import HOSTED
from tinyagent.alchemy_provider import is_answered_by_user, resolved

if TYPE_CHECKING:
    from tinyagent._provider.sources import Setup


def stream_fn_of(setup: Setup) -> Callable[..., Any] | None:
    """Return the function that the host wants called: its own, or that of a model with one."""
    if setup.stream_fn is not None:
        return setup.stream_fn
    own = getattr(type(setup.model), "__tinyagent_stream__", None)
    return None if own is None else partial(own, setup.model)


def is_hosted(setup: Setup) -> bool:
    """Whether a function is called instead of a provider of ours: the host's, or its binding's."""
    if setup.is_hosted is None:
        stream_fn = stream_fn_of(setup)
        if stream_fn is not None and not hasattr(stream_fn, "__tinyagent_provider__"):
            setup.is_hosted = True
        else:
            setup.is_hosted = is_answered_by_user(setup.model, stream_fn)
    return setup.is_hosted


def model_of(setup: Setup) -> dict[str, Any]:
    """Return the model as the log holds it."""
    if is_hosted(setup):
        model = setup.model
        return {"provider": model.provider, "id": model.id, "api": model.api}
    return resolved(setup.model, setup.stream_fn)


def options_of(setup: Setup) -> dict[str, Any]:
    """Return what shapes requests, as the log holds it."""
    return {**setup.options, "source": HOSTED} if is_hosted(setup) else setup.options
