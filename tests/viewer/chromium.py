"""A headless Chromium, driven over a pipe: what of its DevTools protocol the viewer's tests need.

``.ci/chromium`` installs it. Where it is missing, a test of CI fails and any other is skipped.
"""

from __future__ import annotations

import base64
import fcntl
import json
import os
import selectors
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tests.needed import lacking

PROGRAMS = ("chromium", "chromium-browser", "google-chrome")
ANSWER_S = 60.0
FRAMES_MAX = 600
FLAGS = (
    "--headless=new --no-sandbox --disable-gpu --disable-dev-shm-usage --no-first-run"
    " --disable-background-networking --disable-component-update --disable-extensions"
    " --disable-sync --mute-audio --hide-scrollbars --force-color-profile=srgb"
    " --remote-debugging-pipe"
)
Json = dict[str, Any]


class Chromium:
    """One browser with one tab.

    Attributes:
        asked: addresses that pages wanted to load. said: what they wrote to the console, and
            every exception and violation of their policy. dialogs: what they would have shown.
    """

    def __init__(self, program: str, home: Path) -> None:
        self.asked: list[str] = []
        self.said: list[str] = []
        self.dialogs: list[str] = []
        self._rest = b""
        self._next = 0
        self._is_loaded = False
        self._start(program, home)
        self._session = ""
        target = self.call("Target.createTarget", url="about:blank")["targetId"]
        attached = self.call("Target.attachToTarget", targetId=target, flatten=True)
        self._session = attached["sessionId"]
        for domain in ("Page", "Runtime", "Network", "Log"):
            self.call(f"{domain}.enable")
        self.size(1360, 860)

    def _start(self, program: str, home: Path) -> None:
        # Above 4, so that nothing is overwritten on the way to the numbers that Chromium wants.
        ends = [fcntl.fcntl(fd, fcntl.F_DUPFD_CLOEXEC, 10) for fd in (*os.pipe(), *os.pipe())]
        theirs_in, self._out, self._in, theirs_out = ends

        def place() -> None:
            os.dup2(theirs_in, 3)
            os.dup2(theirs_out, 4)

        self._process = subprocess.Popen(
            [program, *FLAGS.split(), f"--user-data-dir={home}", "about:blank"],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            pass_fds=(3, 4),
            preexec_fn=place,
        )
        os.close(theirs_in)
        os.close(theirs_out)

    def call(self, method: str, **params: Any) -> Json:
        """Return what the browser answers to *method*."""
        answer = self._answer(method, params)
        assert "error" not in answer, (method, answer)
        result: Json = answer["result"]
        return result

    def _answer(self, method: str, params: Json) -> Json:
        self._next += 1
        asked: Json = {"id": self._next, "method": method, "params": params}
        if self._session:
            asked["sessionId"] = self._session
        os.write(self._out, json.dumps(asked).encode() + b"\0")
        while (answer := self._read()).get("id") != self._next:
            self._hear(answer)
        return answer

    def _read(self) -> Json:
        while b"\0" not in self._rest:
            with selectors.DefaultSelector() as selector:
                selector.register(self._in, selectors.EVENT_READ)
                assert selector.select(ANSWER_S), f"Chromium said nothing for {ANSWER_S} s"
            piece = os.read(self._in, 1 << 20)
            assert piece, "Chromium has ended"
            self._rest += piece
        line, _, self._rest = self._rest.partition(b"\0")
        told: Json = json.loads(line)
        return told

    def _hear(self, told: Json) -> None:
        params = told.get("params", {})
        match told.get("method"):
            case "Network.requestWillBeSent":
                self.asked.append(params["request"]["url"])
            case "Runtime.exceptionThrown":
                self.said.append(str(params["exceptionDetails"]))
            case "Runtime.consoleAPICalled":
                self.said.append(str(params["args"]))
            case "Log.entryAdded":
                self.said.append(params["entry"]["text"])
            case "Page.javascriptDialogOpening":
                self.dialogs.append(params["message"])
                self._next += 1
                closing: Json = {"method": "Page.handleJavaScriptDialog", "id": self._next}
                closing |= {"params": {"accept": False}, "sessionId": self._session}
                os.write(self._out, json.dumps(closing).encode() + b"\0")
            case "Page.loadEventFired":
                self._is_loaded = True
            case "Page.frameStartedNavigating" | "Page.frameStartedLoading":
                self._is_loaded = False
            case _:
                pass

    def open(self, page: Path | str, place: str = "") -> None:
        """Show *page*, a file or an address, at *place*; return when its script is through."""
        for heard in (self.asked, self.said, self.dialogs):
            heard.clear()
        self.call("Page.navigate", url="about:blank")
        address = page.as_uri() if isinstance(page, Path) else page
        self.call("Page.navigate", url=address + place)
        # In the page, and again and again: what waits in a page that goes away is never answered.
        ready = "document.documentElement?.dataset.ready === 'yes'"
        looked = f"new Promise((done) => setTimeout(() => done({ready}), 10))"
        while not self.run(looked):
            assert not self.said, self.said

    def run(self, expression: str) -> Any:
        """Return the value of *expression* in the page; a promise is waited for."""
        told = self.call(
            "Runtime.evaluate", expression=expression, awaitPromise=True, returnByValue=True
        )
        assert "exceptionDetails" not in told, told["exceptionDetails"]
        return told["result"].get("value")

    def until(self, selector: str, text: str) -> None:
        """Return when what *selector* finds says *text*."""
        said = f"document.querySelector({json.dumps(selector)}).innerText"
        shown = f"requestAnimationFrame(() => done({said}))"
        for _ in range(FRAMES_MAX):
            if text in self.run(f"new Promise((done) => {shown})"):
                return
        raise AssertionError((text, self.texts(selector)))

    def arrives(self, expression: str) -> None:
        """Return when *expression* is true of the page that is shown, this one or its next."""
        asked = {"expression": expression, "returnByValue": True}
        until = time.monotonic() + ANSWER_S
        told: Json = {}
        # A page that goes away while it is asked answers with an error.
        while told.get("result", {}).get("result", {}).get("value") is not True:
            assert time.monotonic() < until, (expression, told)
            told = self._answer("Runtime.evaluate", asked)

    def loaded(self) -> None:
        """Return when the page has been read to its end, its script or none."""
        while not self._is_loaded:
            self._hear(self._read())

    def texts(self, selector: str) -> list[str]:
        """Return the texts of what *selector* finds, as a reader sees them."""
        found: list[str] = self.run(
            f"[...document.querySelectorAll({json.dumps(selector)})].map((n) => n.innerText)"
        )
        return found

    def text(self, selector: str) -> str:
        """Return the text of the one element that *selector* finds."""
        (found,) = self.texts(selector)
        return found

    def press(self, *keys: str) -> None:
        """Press *keys* one after the other, as a keyboard does."""
        for key in keys:
            named: Json = {"key": key}
            if len(key) == 1:
                named["text"] = key
            self.call("Input.dispatchKeyEvent", type="keyDown", **named)
            self.call("Input.dispatchKeyEvent", type="keyUp", key=key)

    def click(self, selector: str, nth: int = 0) -> None:
        """Press the pointer in the middle of what *selector* finds."""
        where = f"document.querySelectorAll({json.dumps(selector)})[{nth}]"
        self.run(f"{where}.scrollIntoView({{block: 'nearest'}})")
        box = self.run(f"(({{x, y, width, height}}) => [x + width / 2, y + height / 2])"
                       f"({where}.getBoundingClientRect())")  # fmt: skip
        for kind in ("mousePressed", "mouseReleased"):
            self.call(
                "Input.dispatchMouseEvent",
                type=kind, x=box[0], y=box[1], button="left", clickCount=1,
            )  # fmt: skip

    def dark(self, is_dark: bool = True) -> None:
        """Let the system prefer dark colours."""
        wanted = [{"name": "prefers-color-scheme", "value": "dark" if is_dark else "light"}]
        self.call("Emulation.setEmulatedMedia", features=wanted)

    def still(self, is_still: bool = True) -> None:
        """Let the system prefer that nothing moves."""
        wanted = "reduce" if is_still else "no-preference"
        features = [{"name": "prefers-reduced-motion", "value": wanted}]
        self.call("Emulation.setEmulatedMedia", features=features)

    def size(self, width: int, height: int, scale: float = 1) -> None:
        """Give the page a window."""
        self.call(
            "Emulation.setDeviceMetricsOverride",
            width=width, height=height, deviceScaleFactor=scale, mobile=False,
        )  # fmt: skip

    def picture(self) -> bytes:
        """Return what is seen, as a PNG."""
        return base64.b64decode(self.call("Page.captureScreenshot")["data"])

    def close(self) -> None:
        """End the browser."""
        self._process.terminate()
        self._process.wait(ANSWER_S)
        os.close(self._in)
        os.close(self._out)


def started() -> Iterator[Chromium]:
    """Yield a browser, and end it afterwards."""
    program = next(filter(None, map(shutil.which, PROGRAMS)), None)
    if program is None:
        lacking("no Chromium here: as root, .ci/chromium installs it")
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as home:
        browser = Chromium(program, Path(home))
        try:
            yield browser
        finally:
            browser.close()
