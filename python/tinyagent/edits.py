"""What shall be different in a fork: ``fork("runs/trip", at=9, edit=edits.tool_result(...))``;
or in what models are shown: ``agent.edit_context([edits.drop(7), edits.replace(9, "...")])``.

An edit of what was said replaces the record that said it; what that caused is gone. An edit of the
configuration counts before the factory's. An edit of the context changes the conversation from
the cut on; the originals stay in the log.
"""

from __future__ import annotations

from typing import Any

from tinyagent._config.options import model_of
from tinyagent.actors.forking import Edit
from tinyagent.agent_types import Model


def tool_result(call_id: str, content: str) -> Edit:
    """Let the call have come to *content*."""
    return Edit(["tool_result", call_id, _said("tool_result", content, str)])


def user_said(content: str) -> Edit:
    """Let the user have said *content*, the last time before the cut."""
    return Edit(["user_said", _said("user_said", content, str)])


def system_prompt(text: str) -> Edit:
    """Let the system prompt be *text* from the cut on."""
    return Edit(["system_prompt", _said("system_prompt", text, str)])


def model(model: Model | str) -> Edit:
    """Let *model*, or the one of that name, answer from the cut on.

    Raises:
        UnknownModelError: no model has that name.
    """
    dumped: dict[str, Any] = model_of(model).model_dump(exclude_none=True)
    return Edit(["model", model if isinstance(model, str) else dumped])


def drop(seq: int) -> Edit:
    """Take the message that record *seq* said out of the conversation."""
    return Edit(["drop", _said("drop", seq, int)])


def pin(seq: int) -> Edit:
    """Let no compaction take the message that record *seq* said from what models are shown."""
    return Edit(["pin", _said("pin", seq, int)])


def undo(seq: int) -> Edit:
    """Take back the edit of the context that record *seq* is; for ``Agent.edit_context``."""
    return Edit(["undo", _said("undo", seq, int)])


def replace(seq: int, text: str) -> Edit:
    """Let the message that record *seq* said read *text*."""
    return Edit(["replace", _said("replace", seq, int), _said("replace", text, str)])


def _said(edit: str, given: Any, kind: type) -> Any:
    """Return *given*, which no log could be read with if it were not of *kind*.

    Raises:
        TypeError: it is not.
    """
    if not isinstance(given, kind):
        wanted = "a text" if kind is str else "the number of a record"
        raise TypeError(f"edits.{edit} takes {wanted}, not {type(given).__name__}")
    return given
