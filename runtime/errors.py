"""What can be raised, and whose fault it is.

::

    TinyAgentError (RuntimeError)
    ├── LogError                  the log is not what you think; each names path, seq, byte
    │   ├── OutOfOrderError       another record is there already
    │   ├── LogClosedError        appended to, or read live, after close
    │   ├── LogOwnedError         another process is writing it
    │   ├── LogFencedError        another process has taken it over
    │   ├── LogBehindError        the disk is stuck: too much is queued
    │   ├── LogFullError          the disk is full; everything written before is safe
    │   ├── LogFailedError        a write or an fsync failed; carries what is durable
    │   ├── LogLimitError         one value is larger than the log takes
    │   ├── LogVersionError       written by a newer version
    │   ├── LogNotFoundError      there is no log at that path
    │   ├── RunUnfinishedError    a new run was started before the last one was ended
    │   ├── NotInLogError         the log has no such record, or no request there
    │   ├── ImportedLogError      it was imported: there is nothing to hold a replay against
    │   ├── PrunedLogError        its beginning was removed on purpose, and is needed for that
    │   ├── ForeignFormatError    what is to be imported is not of that format
    │   ├── CorruptLogError       acknowledged records are damaged or missing
    │   └── ForkedProcessError    appended from a child of fork(2)
    ├── MailboxFullError          a reader is stuck: its name, its capacity
    ├── ProviderError             a model call failed: kind, status, what the provider said
    ├── DivergenceError           today's code decides otherwise than the record says
    ├── EffectInReplayError       a step touched a file, a socket or a process
    ├── LiveEffectError           a test on recorded answers asked for what was not recorded
    ├── MissingExtensionError     the compiled part of the package cannot be loaded
    ├── UnknownModelError         no provider of that name; carries the names there are
    ├── ToolDefinitionError       a function cannot become a tool: where, why, what to write
    ├── McpServerError            an MCP server cannot be used: its name, why, what to do next
    ├── UnexpectedEventError      a machine met an event that its state does not allow: our bug
    └── InvariantError            something that cannot be is: our bug
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence


class TinyAgentError(RuntimeError):
    """The root. A ``RuntimeError``, because compatible code catches that."""


class LogError(TinyAgentError):
    """The log is not what the caller thinks it is."""


class OutOfOrderError(LogError):
    """The record appended is not the next one.

    Attributes:
        expected: the number that the caller appended.
        actual: the number that would have been next.
    """

    def __init__(self, where: str, expected: int, actual: int) -> None:
        super().__init__(
            f"{where}: record {expected} was appended, but the next is {actual}; "
            "another writer was here, or a record was appended twice with different bytes"
        )
        self.expected = expected
        self.actual = actual


class LogClosedError(LogError):
    """The log was closed before."""


class LogOwnedError(LogError):
    """Another process is writing the log now. Reading and forking it are allowed."""


class LogFencedError(LogError):
    """Another process opened the log after us; nothing we wrote since was acknowledged."""


class LogBehindError(LogError):
    """More bytes wait for the disk than ``queue_bytes_hard_max``."""


class LogFullError(LogError):
    """The disk is full. The log was sealed; what was acknowledged is safe."""


class LogFailedError(LogError):
    """A write or an fsync failed, which is never retried. Reopen the log to go on.

    Attributes:
        durable_seq: the last record known to be on disk.
    """

    def __init__(self, message: str, *, durable_seq: int) -> None:
        super().__init__(message)
        self.durable_seq = durable_seq


class LogLimitError(LogError):
    """One value is larger than ``blob_bytes_max``. The log goes on."""


class LogVersionError(LogError):
    """The log's format is newer than this library knows."""


class LogNotFoundError(LogError):
    """There is no log at that path."""


class NotInLogError(LogError):
    """What was asked for is not in the log: no record of that number, no request at it."""


class ImportedLogError(LogError):
    """The log was imported, so nothing in it was recorded that a replay could be held against."""


class PrunedLogError(LogError):
    """The first records of the log were removed on purpose; what was asked for needs them."""

    def __init__(self, where: str, upto: int, why: str) -> None:
        super().__init__(f"{where}: records 1..{upto} were removed on purpose (pruned); {why}")


class ForeignFormatError(LogError):
    """What is to be imported cannot be read as the format that it was given as, or as any."""


class CorruptLogError(LogError):
    """Records that were acknowledged as durable are damaged or missing. Nothing was changed.

    Attributes:
        path: file with the damage. seq: first record affected. offset: byte in that file.
    """

    def __init__(self, message: str, *, path: str = "", seq: int = 0, offset: int = 0) -> None:
        super().__init__(message)
        self.path = path
        self.seq = seq
        self.offset = offset


class RunUnfinishedError(LogError):
    """The log's last run was cut off, and another one cannot begin before it has ended."""

    def __init__(self, where: str, began: int, *, is_broken: bool = False) -> None:
        told = "end it first: await agent.run() without a message, or resume(...)"
        if is_broken:
            told = (
                "an error brought this agent down in it: resume(...) the log, or make another agent"
            )
        super().__init__(f"{where}: the run that began with record {began} did not end; {told}")


class ForkedProcessError(LogError):
    """A child of ``fork(2)`` appended to its parent's log."""


class MailboxFullError(TinyAgentError):
    """A reader is as many records behind as its mailbox holds: it is stuck, not slow."""

    def __init__(self, reader: str, capacity: int) -> None:
        super().__init__(
            f"{reader} is {capacity} records behind and does not read any more; "
            "the session ends here, its log is whole"
        )
        self.reader = reader
        self.capacity = capacity


class ProviderError(TinyAgentError):
    """A model call failed.

    Attributes:
        kind: ``network overloaded refused invalid timeout``, or another ``Failure`` kind.
        status: the HTTP status, where there was an answer.
    """

    def __init__(self, kind: str, message: str, *, status: int | None = None) -> None:
        super().__init__(message)
        self.kind = kind
        self.status = status


class DivergenceError(TinyAgentError):
    """Today's code does not decide what the log says. ``str()`` is the whole report."""


class EffectInReplayError(TinyAgentError):
    """Code that only decides touched a file, a socket or a process during replay."""


class LiveEffectError(TinyAgentError):
    """A model or a tool was asked for what is not recorded, where nothing live may be touched.

    ``str()`` is the whole report: the nearest recorded request and where it differs.
    """


class MissingExtensionError(TinyAgentError, ImportError):
    """The compiled part of the package is not there, or not for this Python and platform.

    Attributes:
        failures: why no module could be loaded, by the names that were tried.
    """

    def __init__(self, wanted: str, failures: Mapping[str, ImportError]) -> None:
        told = "; ".join(f"{name}: {type(why).__name__}: {why}" for name, why in failures.items())
        text = (
            f"Failed to import the optional alchemy binding. It was wanted for {wanted}; scripted "
            "models and logs in memory work without it. It is part of every wheel and of every "
            "build from source: install the package again, for this Python and platform, or run "
            f"`make dev` in a checkout. Import failures: {told}"
        )
        ImportError.__init__(self, text, name="tinyagent._alchemy")
        self.failures = dict(failures)


class UnknownModelError(TinyAgentError):
    """A model's name is not ``provider:model``, or nobody knows the provider.

    Attributes:
        name: what was given. known: the providers there are.
    """

    def __init__(self, name: str, known: Sequence[str]) -> None:
        provider, colon, _ = name.partition(":")
        what = "the name has no model" if colon else "the name has no provider"
        if colon and provider not in known:
            what = f"no provider is named {provider!r}"
        super().__init__(
            f"{what}\n  got       {name!r}\n  expected  provider:model, with a provider of: "
            f"{', '.join(sorted(known))}\n  try       a model object for any other provider"
        )
        self.name = name
        self.known = list(known)


class ToolDefinitionError(TinyAgentError):
    """A function cannot become a tool.

    Attributes:
        name: of the tool. path, line: where the function is defined; empty if nobody knows.
    """

    def __init__(self, name: str, path: str, line: int, why: str, instead: str) -> None:
        where = f"{path}:{line}  {why}" if path else why
        super().__init__(
            f"`{name}` cannot become a tool\n  where     {where}\n  try       {instead}"
        )
        self.name = name
        self.path = path
        self.line = line


class McpServerError(TinyAgentError):
    """An MCP server cannot be reached, or cannot be used as it was asked for.

    Attributes:
        server: its name.
    """

    def __init__(self, server: str, why: str, instead: str) -> None:
        super().__init__(f"MCP server {server}: {why}\n  try       {instead}")
        self.server = server


class UnexpectedEventError(TinyAgentError):
    """A machine met an event that its state does not allow. Please report."""

    def __init__(self, phase: str, kind: str, seq: int) -> None:
        super().__init__(
            f"record {seq} ({kind}) cannot occur while the agent is {phase}; please report this"
        )


class InvariantError(TinyAgentError):
    """Something that cannot be is. Please report."""
