"""Snapshots of logs on syrupy, one file beside each other kind; imported when one is used."""

from __future__ import annotations

from typing import Any

from syrupy.extensions.amber import AmberSnapshotExtension

from tinyagent.testing.texts import event_text, transcript


class TranscriptExtension(AmberSnapshotExtension):
    """Keeps who said what; see ``transcript``."""

    file_extension = "transcript"

    def serialize(self, data: Any, **kwargs: Any) -> str:
        """Return the transcript of *data*: a log, a recording, an agent, or a place."""
        return super().serialize(transcript(data), **kwargs)


class EventLogExtension(AmberSnapshotExtension):
    """Keeps which record led to which; see ``event_text``."""

    file_extension = "eventlog"

    def serialize(self, data: Any, **kwargs: Any) -> str:
        """Return the records of *data*: a log, a recording, an agent, or a place."""
        return super().serialize(event_text(data), **kwargs)
