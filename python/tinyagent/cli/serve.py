"""``tinyagent serve [DIR]``: the sessions of a folder in a browser, also while they are written."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

from tinyagent.cli import live, refs
from tinyagent.cli.answers import Serve
from tinyagent.cli.options import COMMON, Common, Factory
from tinyagent.cli.render import answer, safe
from tinyagent.runtime.errors import LogNotFoundError

if TYPE_CHECKING:
    from tinyagent.viewer.acting import Acts


def run(
    where: Annotated[
        str | None, Parameter(name="DIR", help="else --dir, TINYAGENT_LOG_DIR, ./runs")
    ] = None,
    /,
    *,
    port: Annotated[int, Parameter(help="of 127.0.0.1; 0: one that is free")] = 0,
    open_: Annotated[bool, Parameter(name="--open", help="open it in a browser")] = False,
    allow_live: Annotated[
        bool, Parameter(help="let the page fork, and with --app run, after it was asked")
    ] = False,
    app: Factory = None,
    common: Common = COMMON,
) -> int:
    """Print the address, then serve until it is interrupted. Logs are read, never changed.

    With ``--allow-live`` whoever has the address may add to them.
    """
    from tinyagent.viewer.server import HOST, Server

    acts = _acts(app) if allow_live else None
    if app is not None and acts is None:
        raise refs.RefError("--app runs live: say --allow-live too")

    folder = Path(where) if where is not None else refs.folder(common.dir)
    if not folder.is_dir():
        raise LogNotFoundError(f"{folder}: there is no such folder")
    if not 0 <= port < 1 << 16:
        raise refs.RefError(f"--port {port}: a number below 65,536")
    try:
        server = Server(folder, port, acts, warn=_tell)
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
        try:
            server.serve_forever()
        finally:
            if acts is not None:
                acts.close()
    return 0


def _acts(app: str | None) -> Acts:
    from tinyagent.viewer.acting import Acts

    live.check("serve --allow-live")
    factory = live.application(app) if app is not None else None
    runs = f", and run {app} on them, live" if app is not None else ""
    _tell(f"whoever has the address may fork these logs{runs}")
    return Acts(factory, _tell)


def _tell(text: str) -> None:
    print(safe(text), file=sys.stderr, flush=True)
