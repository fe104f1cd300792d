"""The extension: the log's writer and scanner, the decoders of provider streams, and HTTP."""

from asyncio import Future
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, TypeVar, final

from tinyagent._provider.handle import StreamHandle
from tinyagent.events import Event, Record
from tinyagent.events.drafts import Joined

__version__: str

ForkFields = tuple[str, int, str, str | None]
KeyFields = tuple[str, bytes]
Sleeper = tuple["LoopBell", Future[None]]
E = TypeVar("E")
R = TypeVar("R")

# ---- the log (rust/log) ---------------------------------------------------------------------

def crc32c(data: bytes) -> int:
    """The CRC32C (Castagnoli) of *data*, without a log's id."""

def fresh_id() -> str:
    """128 random bits as 32 hexadecimal digits: the id of a new log."""

def line(
    log_id: str,
    d: int,
    seq: int,
    ts_us: int,
    actor: str | None,
    kind: str,
    v: int,
    cause: int,
    payload: bytes,
    before: str | None = None,
) -> bytes:
    """One record as its line, newline included; with its chain hash, if *before* is the one before.

    Raises:
        ValueError: a field is not one that a record can have.
    """

def header_line(
    log_id: str,
    *,
    seg: int,
    epoch: int,
    first: int,
    tail: int,
    at_us: int,
    by: str,
    level: str = "crc",
    name: str | None = None,
    origin: str | None = None,
    fork: ForkFields | None = None,
    prev: str | None = None,
    redacted: str | None = None,
    more: Sequence[tuple[str, str]] = (),
) -> bytes:
    """The first line of a segment; *more* is as of ``LogMeta``."""

def line_under(line: bytes, log_id: str) -> bytes:
    """*line* with its checksum as in the log *log_id*."""

def chain_origin(log_id: str) -> str:
    """The chain hash before the first record of a log that is no fork."""

def chain_over(before: str, lines: list[bytes]) -> str:
    """The chain hash after *lines*, where *before* is the one before them.

    Raises:
        ValueError: *before* is no hash, or one of *lines* no record.
    """

def public_key(key: KeyFields) -> bytes | None:
    """The half of *key* that may be given away; None for a secret that both sides hold.

    Raises:
        ValueError: it is no key.
    """

def sign_head(key: KeyFields, log_id: str, last: int, head: str) -> str:
    """The signature of a seal after record *last*, whose chain hash is *head*.

    Raises:
        ValueError: it is no key, or one that cannot sign.
    """

def seal_line(
    log_id: str,
    *,
    seg: int,
    last: int,
    d: int,
    why: str,
    at_us: int,
    head: str | None = None,
    sig: str | None = None,
    more: Sequence[tuple[str, str]] = (),
) -> bytes:
    """The last line of a segment; *more* is as ``LogMeta.sealed``."""

def take_out_blobs(payload: bytes) -> tuple[bytes, list[tuple[str, bytes]]]:
    """Move the large values out of a payload above 65,536 bytes: what is left, and each value's
    SHA-256 and bytes. A smaller payload comes back as it is.

    Raises:
        LogLimitError: a value is above 256 MiB.
    """

def write_packed(path: str | Path, body: bytes, blobs: list[tuple[str, bytes]]) -> None:
    """Write the file *path*, and *blobs* beside it in ``<name>.blobs/``: durably, and whole or
    not at all.

    Raises:
        LogFailedError: the disk said no.
    """

def write_folder(path: str | Path, body: bytes, blobs: list[tuple[str, bytes]]) -> None:
    """Write *body*, a whole segment, and *blobs* into a folder without a log: durably.

    Raises:
        ValueError: there is a log in it. LogFailedError: the disk said no.
    """

def write_atomically(path: str | Path, body: bytes) -> None:
    """Write the file *path* durably, whole or not at all; its folder is made if need be.

    Raises:
        LogFailedError: the disk said no.
    """

def verify_log(path: str | Path, key: KeyFields | None = None) -> dict[str, Any]:
    """Read every byte of a log. Keys: as ``runtime.repair.Report`` but ``where``; segments as
    tuples of the fields of ``SegmentReport``, lost values as ``(seq, digest)``.

    Raises:
        LogError: as ``verify``.
    """

def salvage_log(path: str | Path) -> dict[str, Any]:
    """Read what can be read. Keys: ``log epoch sealed parts``, and if a header can be read ``format
    level name origin fork more at_us``. A part is a list of records as of ``LogReader.batch``, or a
    tuple of the fields of ``Gap``.

    Raises:
        LogError: as ``salvage``.
    """

def archive_log(path: str | Path) -> list[tuple[str, int, int, int]]:
    """Join and compress sealed segments: name, segments, bytes, bytes on disk of each archive.

    Raises:
        LogError: as ``archive``.
    """

def prune_log(path: str | Path, before: int, dry: bool) -> tuple[int, int, int]:
    """Remove whole segments before record *before*, or say what can be: the last record gone,
    segments, bytes.

    Raises:
        LogError: as ``prune``.
    """

def detach_log(path: str | Path, prefix: bytes, blobs: list[tuple[str, bytes]]) -> None:
    """Put *prefix*, the lines that a fork shares with its parent, ahead of its own, with *blobs*.

    Raises:
        LogError: as ``prune``.
    """

def unpack_archive(packed: bytes, limit: int) -> bytes:
    """What comes out of an archive, or of the start of one: at most *limit* bytes."""

@final
class LogWriter:
    """The writing end of a log in a folder; a thread of its own does the writing.

    What ``Log``, ``LogMeta`` and ``FileLog`` have too is told there. Dropping it unclosed leaves
    the log unsealed, with everything accepted written.

    Raises:
        LogError: see ``FileLog``. ValueError: an option is not one of those possible.
    """

    def __init__(
        self,
        path: str | Path,
        *,
        durability: str,
        at_us: int,
        log_id: str | None = None,
        name: str | None = None,
        origin: str | None = None,
        fork: ForkFields | None = None,
        level: str | None = None,
        key: KeyFields | None = None,
        accept_loss: bool = False,
        more: Sequence[tuple[str, str]] = (),
        segment_bytes_max: int | None = None,
        queue_bytes_soft_max: int | None = None,
        queue_bytes_hard_max: int | None = None,
        interval_ms: int | None = None,
        since: int = 0,
    ) -> None: ...
    @property
    def path(self) -> str:
        """The folder, as it was given."""
    @property
    def log(self) -> str: ...
    @property
    def name(self) -> str | None: ...
    @property
    def origin(self) -> str | None: ...
    @property
    def level(self) -> str: ...
    @property
    def fork(self) -> ForkFields | None: ...
    @property
    def more(self) -> list[tuple[str, str]]: ...
    @property
    def epoch(self) -> int: ...
    @property
    def durability(self) -> Literal["interval", "group", "strict"]: ...
    @property
    def accepts_loss(self) -> bool: ...
    @property
    def recovered(self) -> tuple[int, int, int, int, Literal["unclean", "fsync"]] | None:
        """``(torn_bytes, dropped, copied, segment, why)`` of what was found, or done since."""
    def timings(self, since: int | None) -> tuple[int, list[tuple[bool, float]]]:
        """What ``FileLog.timings`` tells."""
    def take_reader(self) -> LogReader | None:
        """What reads the records that were looked at when it was opened, once.

        All but those before *since* that a seal vouches for. None if there were none, or too many
        to be kept.
        """
    @property
    def seq(self) -> int: ...
    @property
    def written_seq(self) -> int: ...
    @property
    def durable_seq(self) -> int: ...
    def append(
        self, seq: int, ts_us: int, actor: str | None, kind: str, v: int, cause: int, payload: bytes
    ) -> None:
        """As ``FileLog.append``."""
    def append_event(
        self, event: Event, ts_us: int, cause: int, actor: str | None, live: object
    ) -> Record:
        """Encode *event* and append it as the next record; return that, with *live* beside it."""
    def follow(self, post: Callable[..., None]) -> None:
        """Call *post* with the fields of each record that is accepted from now on. Only once."""
    def want_written(self, seq: int, who: Sleeper | None = None) -> bool:
        """Whether *seq* is written, by this call if it can; if not, *who* is woken then.

        Or, here and below, when the thread has got on with something else: who is woken asks again.
        """
    def want_durable(self, seq: int, who: Sleeper | None = None) -> bool:
        """Whether *seq* is durable. If not, it is synced soon, then *who* is woken."""
    def is_nearly_durable(self, seq: int) -> bool:
        """Whether *seq* will be durable so soon that to look again is better than to rest."""
    def want_room(self, who: Sleeper | None = None) -> bool:
        """Whether the queue is short. If not, *who* is woken once it is."""
    def block_written(self, timeout_s: float) -> bool:
        """Block until what was accepted is written; False if it is not by then."""
    def close(self, why: str, at_us: int) -> bool:
        """Ask the thread to seal and end. True if it has."""
    def want_closed(self, who: Sleeper | None = None) -> bool:
        """Whether the thread has ended and the lock is free. If not, *who* is woken once it has."""
    def failure(self) -> Exception | None:
        """What the thread failed of."""

@final
class LogReader:
    """A log, scanned and judged when this is made: a folder, or one packed file.

    What ``LoadedLog`` has too is told there.

    Raises:
        LogError: see ``read_log``.
    """

    def __init__(self, path: str | Path) -> None: ...
    def __len__(self) -> int: ...
    @property
    def log(self) -> str: ...
    @property
    def format(self) -> int: ...
    @property
    def level(self) -> str: ...
    @property
    def name(self) -> str | None: ...
    @property
    def origin(self) -> str | None: ...
    @property
    def fork(self) -> ForkFields | None: ...
    @property
    def more(self) -> list[tuple[str, str]]: ...
    @property
    def sealed(self) -> list[tuple[str, str]]: ...
    @property
    def base(self) -> int:
        """The first record that its own files hold: 1, but for forks and pruned logs."""
    @property
    def at_us(self) -> int: ...
    @property
    def epoch(self) -> int: ...
    @property
    def first(self) -> int:
        """Its first record, of those that were looked at; 0 if there is none."""
    @property
    def last(self) -> int:
        """Its last record; 0 if there is none."""
    @property
    def durable_seq(self) -> int: ...
    @property
    def verdict(self) -> str: ...
    @property
    def torn(self) -> tuple[str, int, int, int] | None:
        """``(path, offset, bytes, dropped)`` of the end that cannot be read."""
    @property
    def counts(self) -> tuple[int, int, int, int]:
        """``(files, void_segments, void_lines, copies)``."""
    def batch(
        self, first: int, count: int
    ) -> list[tuple[int, int, str | None, str, int, int, bytes, int, bytes]]:
        """Up to *count* records from number *first* on:
        ``(seq, ts_us, actor, kind, v, cause, payload, d, line)``.
        """
    def events(
        self,
        first: int,
        count: int,
        reading_of: Callable[[str], tuple[int, str, Callable[[bytes], list[E]]] | None],
        record: Callable[[int, int, int, str, E, bytes], R],
        other: Callable[..., R],
        joined: Joined | None = None,
    ) -> list[R]:
        """The same as what *record* makes of ``(seq, at_ns, cause, actor, event, payload)``.

        Fewer than *count* if they are large. *reading_of* tells of a kind its version, its usual
        emitter, and what reads a JSON array of payloads; None if it is not known. *other* is given
        the fields as of ``batch`` where that is so, where the version is another one, a value is
        wrapped (``{"$...":``), or a payload of that kind is refused. Of the kind in *joined*
        records that follow each other, of one actor and one cause, come as one: the last of them,
        with all that is in their lists; or, if they are the whole of an answer, with its blocks.
        """
    @property
    def gaps(self) -> list[tuple[int, int]]:
        """First and last of the records that were lost, and are marked so by a repair."""
    @property
    def lost(self) -> list[tuple[int, str]]:
        """Number and digest of each value that was missing in what was read so far; it stays a
        reference in the payload.
        """
    def blob(self, digest: str) -> bytes | None:
        """The bytes of a value; None if it is missing or damaged."""
    @staticmethod
    def digests(line: bytes) -> list[str]:
        """The digests of the values that *line* refers to."""

# ---- end of the log -------------------------------------------------------------------------

# ---- the decoders (rust/decode) -------------------------------------------------------------

@final
class Decoder:
    """One answer's bytes in, its pieces out. Never waits, never reads, never knows of time.

    A piece is ``(block, operation, data)``. Blocks are numbered from 0 in the order in which they
    open; fragments of several tool calls may interleave.

    ==========================  ==================================================================
    ``text`` ``think``          a string, never empty
    ``refuse``                  the same: the model declines
    ``call``                    ``{"id", "name"}``: opens a tool call. Either is ``""`` if none was
                                sent; a late one comes as a second ``call`` of the same block
    ``args``                    a fragment of the arguments' JSON text; may be ``""``
    ``sign``                    of a block of reasoning. Chat: where it came from, once, after its
                                first ``think``: ``reasoning_content``, ``reasoning``,
                                ``reasoning_text``, ``content[].thinking`` (Mistral), for MiniMax
                                also ``reasoning_details`` and ``think_tag``. Anthropic: its
                                signature, whole, when the block ends
    ``keep``                    a JSON object that must go back to the same provider and model
                                unchanged; once per block, complete; may be the only piece of one.
                                Chat (only if the answer is complete): fields of the message,
                                ``reasoning_details reasoning_opaque extra_content``, or of the
                                tool call if the block is one. Anthropic: fields of the block,
                                ``citations caller``, or a whole block (redacted, of a server's
                                tool). Responses: fields of the item, ``id caller phase``, or a
                                whole item (with reasoning: the item whose text it is). Gemini:
                                ``thoughtSignature`` of the part, or a whole part
    ==========================  ==================================================================
    """

    done: bool
    """Nothing more needs to be read, even if the connection stays open."""

    def __init__(self, api: str) -> None:
        """A decoder for one answer of the protocol *api*, as in ``HttpRequest.api``.

        Raises:
            ValueError: there is no decoder for *api*.
        """

    def feed(self, data: bytes) -> list[tuple[int, str, Any]]:
        """Return the pieces that *data* completes. After the end of the answer: none."""

    def close(self) -> list[tuple[int, str, Any]]:
        """The bytes are at their end: return the pieces that only the end completes.

        There are some if the last event was not terminated, if the body is a plain JSON answer, or
        if something had to be held back (half a tag). A second call returns none.
        """

    def finish(self) -> dict[str, Any]:
        """Say how the answer ended; closes the decoder. Can be repeated.

        Keys: ``reason`` (``end tools length filtered``, None if it failed), ``raw_reason``,
        ``usage`` (``input output cache_read cache_write total``, if told ``reasoning`` and
        ``cost`` of ``input output total``; None if none came), ``usage_raw`` (JSON text),
        ``response`` (the provider's id), ``failure`` (kind and message, or None), ``bad_calls``
        (blocks whose arguments are not one complete JSON object), ``unterminated`` (the last event
        lacked its blank line), ``pieces`` (those of ``close``, if it was not called).
        """

def parse_partial(text: str) -> Any:
    """Return what JSON *text* says so far, for a preview; None if it is not the start of any.

    An unfinished string ends where the text ends; an unfinished number, literal or key is left
    out. Linear in the text.
    """

def classify_error(
    api: str, status: int, headers: Mapping[str, str] | Iterable[tuple[str, str]], body: bytes, /
) -> dict[str, Any]:
    """Say what an HTTP answer with an error *status* means. Never raises on any *body*.

    Keys: ``kind`` (``network overloaded refused invalid timeout overflow filtered``), ``message``
    (what the provider said: readable, at most 4,096 characters, keys shortened), ``overflow``,
    ``retry_after_s`` (what was asked for, or None), ``retryable`` (408, 409, 429, 5xx, or as
    ``x-should-retry`` says; never without money or context).
    """

def check_arguments(schema_json: bytes, arguments_json: bytes, /) -> list[tuple[str, str]]:
    """Return what is wrong with a call's complete arguments; nothing if they fit.

    Each fault is a JSON pointer (``""``: the whole) and a message for the model, at most 500
    characters; at most 100 faults, sorted. Arguments must be an object, whatever the schema says.
    A schema without ``$schema`` is read as draft 2020-12; ``format`` is not checked. The last 256
    schemas are kept compiled, known by their bytes.

    Raises:
        ValueError: the schema is broken, or refers to something outside itself.
    """

# ---- digests (events/codec.py) ------------------------------------------------------------------

@final
class Digest:
    """The SHA-256 of what was taken so far."""

    def __init__(self, data: bytes) -> None: ...
    def take(self, data: bytes) -> None:
        """Go on with *data*."""

    def told(self, more: bytes = b"", /) -> str:
        """Return the first 16 hexadecimal digits, as if *more* had been taken too."""

# ---- HTTP (rust/http) -----------------------------------------------------------------------

class HttpFault(Exception):
    """An exchange failed. ``args``: a word, and what the library said.

    Words: ``bad_url bad_header not_sent not_connected not_answered fell_silent broke_off encoded
    cancelled``. See ``actors/transports/failures.py`` for what each means.
    """

    args: tuple[str, str]

@final
class HttpPool:
    """Connections under one set of settings; pools that were made of the same share them.

    Proxies are URLs: ``http``, ``https``, ``socks5``, ``socks5h``. *no_proxy* lists hosts,
    domains and networks. Certificates replace the system's.

    Raises:
        ValueError: there is no way through one of the proxies; names it.
    """

    def __init__(
        self,
        *,
        http_proxy: str = "",
        https_proxy: str = "",
        all_proxy: str = "",
        no_proxy: str = "",
        cert_file: str | Path | None = None,
        cert_dir: str | Path | None = None,
    ) -> None: ...
    def target(
        self,
        api: str,
        url: str,
        headers: list[tuple[str, str]],
        limits_s: tuple[float, float, float, float],
    ) -> HttpTarget:
        """Return where requests to *url* with these *headers* go.

        *limits_s*: until connected, until the head of the answer, of silence in it, of an error
        body. A faulty URL is told by each exchange.

        Raises:
            ValueError: there is no decoder for *api*.
        """

@final
class HttpTarget:
    """All of a request but its body: the same for many."""

    def open(
        self,
        body: bytes,
        bell: LoopBell,
        hear: Callable[[list[tuple[Any, ...]]], object] | None,
        heard: Future[Any],
    ) -> HttpExchange:
        """Begin to POST *body*; never waits. *hear* and *heard* are as of ``HttpExchange.listen``.

        Raises:
            OSError: the system gives no thread.
        """

@final
class HttpExchange:
    """One request under way. Dropping it closes its connection.

    ``status``: of the head; 0 before it.
    """

    @property
    def status(self) -> int: ...
    def listen(
        self,
        bell: LoopBell,
        hear: Callable[[list[tuple[Any, ...]]], object] | None,
        heard: Future[Any],
    ) -> None:
        """Let *hear* be called with what comes, and *heard* have what ends that; never waits.

        What is there already is heard at once, what comes later by *bell*, in its loop: lists of
        pieces with their gaps in microseconds, runs joined as a ``model.delta`` holds them. It
        ends, once, with what *hear* returned if that is not None, or raised; with the last such
        list, untold, if the end of the answer is there with it, else with None at that end; with
        an ``HttpFault`` if there is no more. Without *hear* the next pieces end it, each by itself.

        First of all comes the head. It ends it too, without *hear* or if the status is not 2xx:
        status, headers with names in lower case, and what there is of the body; if the status is
        2xx, no headers, and None.
        """

    def unlisten(self) -> None:
        """Let nothing be heard any more."""

    def finish(self) -> dict[str, Any]:
        """Say how the answer ended, as ``Decoder.finish`` without its pieces and ``usage_raw``."""

    def close(self) -> None:
        """Close the connection if the answer has not ended. Wakes whoever waits. Never waits."""

# ---- event loops (runtime/bells.py) -----------------------------------------------------------

@final
class LoopBell:
    """Wakes futures and makes calls in one event loop, for threads without the interpreter.

    Without *event_loop* the loop is to watch ``fileno`` and then to ``take``. With it the loop is
    called, by a thread that waits for the interpreter.
    """

    def __init__(self, event_loop: object | None = None) -> None: ...
    def fileno(self) -> int:
        """Return what to watch.

        Raises:
            NotImplementedError: nothing can be watched here.
        """

    def take(self) -> None:
        """Wake the futures and make the calls that were rung for. In their loop.

        Raises:
            BaseException: a call raised; the others are made with the next ring, which is here.
        """

# ---- the blocking call (python/tinyagent/_provider/handle.py) ------------------------------

def openai_completions_stream(
    model: dict[str, Any], context: dict[str, Any], options: dict[str, Any]
) -> StreamHandle:
    """Ask *model*, and return a handle of its answer at once. *model* needs
    ``id provider api base_url``.

    Raises:
        ValueError: ``invalid model``, ``invalid context`` or ``invalid options``, and why.
    """
