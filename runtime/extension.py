"""What is used of the extension, loaded on first need; where it cannot be, one plain error."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tinyagent._alchemy import (
        Decoder as Decoder,
        HttpFault as HttpFault,
        HttpPool as HttpPool,
        LogReader as LogReader,
        LogWriter as LogWriter,
        LoopBell as LoopBell,
        __version__ as __version__,
        archive_log as archive_log,
        chain_origin as chain_origin,
        chain_over as chain_over,
        classify_error as classify_error,
        crc32c as crc32c,
        detach_log as detach_log,
        header_line as header_line,
        line as line,
        line_under as line_under,
        prune_log as prune_log,
        salvage_log as salvage_log,
        seal_line as seal_line,
        sign_head as sign_head,
        take_out_blobs as take_out_blobs,
        unpack_archive as unpack_archive,
        verify_log as verify_log,
        write_atomically as write_atomically,
        write_folder as write_folder,
        write_packed as write_packed,
    )
else:
    _OF_MODELS = frozenset({"Decoder", "HttpFault", "HttpPool", "LoopBell", "classify_error"})

    def __getattr__(name: str) -> object:
        if name.startswith("__") and name != "__version__":  # Python looks for some of its own
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        try:
            import tinyagent._alchemy as extension
        except ImportError as error:
            from tinyagent.runtime.errors import MissingExtensionError

            wanted = "asking a model" if name in _OF_MODELS else "a log on disk"
            raise MissingExtensionError(wanted, {"tinyagent._alchemy": error}) from error
        value = globals()[name] = getattr(extension, name)
        return value
