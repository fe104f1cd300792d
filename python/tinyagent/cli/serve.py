"""``tinyagent serve [DIR]``: the sessions of a folder in a browser, also while they are written."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from tinyagent.cli import refs
from tinyagent.cli.answers import Serve
from tinyagent.cli.options import COMMON, Common
from tinyagent.cli.render import answer
from tinyagent.runtime.errors import LogNotFoundError


def run(
    where: Annotated[
        str | None, Parameter(name="DIR", help="else --dir, TINYAGENT_LOG_DIR, ./runs")
    ] = None,
    /,
    *,
    port: Annotated[int, Parameter(help="of 127.0.0.1; 0: one that is free")] = 0,
    open_: Annotated[bool, Parameter(name="--open", help="open it in a browser")] = False,
    common: Common = COMMON,
) -> int:
    """Print the address, then serve until it is interrupted. Logs are read, never changed."""
    from tinyagent.viewer.server import HOST, Server

    folder = Path(where) if where is not None else refs.folder(common.dir)
    if not folder.is_dir():
        raise LogNotFoundError(f"{folder}: there is no such folder")
    if not 0 <= port < 1 << 16:
        raise refs.RefError(f"--port {port}: a number below 65,536")
    try:
        server = Server(folder, port)
    except OSError as error:
        raise refs.RefusedError(f"{HOST}:{port}: {error.strerror}; leave out --port") from None
    with server:
        if common.json:
            answer(Serve(dir=str(folder), url=server.url, port=server.port))
        else:
            print(server.url, flush=True)
        if open_:
            import webbrowser

            webbrowser.open(server.url)
        server.serve_forever()
    return 0
