"""The events of a log as one closed union, so that a ``match`` over them can be complete."""

from __future__ import annotations

from typing import TypeAlias

from tinyagent.events import kinds as k

Event: TypeAlias = (
    k.ActorFailed
    | k.ApprovalDecided
    | k.ApprovalRequested
    | k.BudgetExceeded
    | k.CancelRequested
    | k.ChildEnded
    | k.ChildStarted
    | k.ConfigChanged
    | k.ContextEdited
    | k.DiagnosticReported
    | k.Foreign
    | k.HostAnswered
    | k.HostAsked
    | k.HostFailed
    | k.LogLost
    | k.LogRecovered
    | k.ModelDelta
    | k.ModelFailed
    | k.ModelFinished
    | k.ModelRequested
    | k.ModelRetrying
    | k.OutputRejected
    | k.RunEnded
    | k.SessionEnded
    | k.SessionForked
    | k.SessionResumed
    | k.SessionStarted
    | k.SinkFailed
    | k.TimerFired
    | k.TimerSet
    | k.ToolBlocked
    | k.ToolFailed
    | k.ToolFinished
    | k.ToolInDoubt
    | k.ToolProgressed
    | k.ToolReconciled
    | k.ToolRequested
    | k.ToolSettled
    | k.ToolStarted
    | k.TurnEnded
    | k.UserContinued
    | k.UserDelivered
    | k.UserSaid
    | k.UserWithdrawn
    | k.UnknownEvent
)
"""Every event that a log of this release can hold, and those of newer ones: ``UnknownEvent``.

What is not exported by ``tinyagent`` itself is in ``tinyagent.events.kinds``."""
