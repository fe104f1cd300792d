"""The pytest plugin: sessions recorded once and replayed for ever, models without a network.

It imports nothing but pytest until one of its fixtures is used, and none is used by itself.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Generator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from tinyagent.runtime.stores.memory import MemoryLog
    from tinyagent.testing._recorded import RecordedSession
    from tinyagent.testing.clock import VirtualClock
    from tinyagent.testing.crash import CrashRun
    from tinyagent.testing.models import EchoModel, ScriptedModel

MODES = ("none", "once", "new", "all")
_SESSION: pytest.StashKey[RecordedSession] = pytest.StashKey()
_LOG: pytest.StashKey[MemoryLog] = pytest.StashKey()
_CHECKS: pytest.StashKey[list[Callable[[], None]]] = pytest.StashKey()


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the options; each begins with ``--ta-``."""
    group = parser.getgroup("tinyagent")
    group.addoption(
        "--ta-record",
        choices=MODES,
        default="none",
        help="answers of recorded sessions: none (default) asks nothing live; once records where "
        "there is no file; new asks live what a file does not hold; all asks everything live",
    )
    group.addoption(
        "--ta-allow-live",
        action="store_true",
        help="ask models and tools live for what is not recorded, without recording it",
    )
    group.addoption(
        "--ta-html",
        metavar="DIR",
        help="write the log of every test that fails as one page into this folder",
    )
    parser.addini(
        "tinyagent_replays_dir",
        help="folder of the recorded sessions (default: tests/replays)",
        default="tests/replays",
    )


def pytest_configure(config: pytest.Config) -> None:
    """Make the marker known."""
    config.addinivalue_line(
        "markers",
        "replay(name=None): the test runs against a recorded session, through the fixture "
        "'recorded'; name: of the file, in place of the test's own",
    )


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Refuse a ``replay`` test that would run live."""
    names: list[str] = getattr(item, "fixturenames", [])
    if item.get_closest_marker("replay") is not None and "recorded" not in names:
        pytest.fail("a replay test takes the fixture 'recorded': build(log=recorded)", False)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item: pytest.Item) -> Generator[None, Any, Any]:
    """Check what the fixtures of the test stand for; a divergence is its failure."""
    session = item.stash.get(_SESSION, None)
    if session is None:
        result = yield
    else:
        from tinyagent.runtime.errors import DivergenceError, LiveEffectError

        try:
            result = yield
        except (LiveEffectError, DivergenceError) as error:
            pytest.fail(str(error), pytrace=False)
        fault = session.fault()
        if fault:
            pytest.fail(fault, pytrace=False)
    for check in item.stash.get(_CHECKS, ()):
        check()
    if session is not None and session.write():
        item.add_report_section("call", "tinyagent", f"recorded {session.path}")
    return result


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item,
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Add the transcript to the report of a test that failed, and write its page if asked to."""
    report = yield
    session, log = item.stash.get(_SESSION, None), item.stash.get(_LOG, None)
    log = session.log if session is not None else log
    if report.when == "call" and report.failed and log is not None and log.seq:
        from tinyagent.testing.texts import transcript

        report.sections.append(("tinyagent transcript", transcript(log)))
        if session is not None and session.answers.refused is not None:
            report.sections.append(("tinyagent refused", str(session.answers.refused)))
        folder: Any = item.config.getoption("--ta-html")
        if folder is not None:
            report.sections.append(("tinyagent page", _page(log, Path(folder), item.nodeid)))
    return report


def _page(log: MemoryLog, folder: Path, test: str) -> str:
    """Write *log* as a page and return its path."""
    from tinyagent.testing._recorded import file_name
    from tinyagent.verbs import load
    from tinyagent.viewer import to_html

    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{file_name(test)}.html"
    path.write_bytes(to_html(load(log)))
    return str(path)


@pytest.fixture
def replay_path(request: pytest.FixtureRequest) -> Path:
    """Where the session of this test is recorded: ``<replays>/<file>/<test>.jsonl``."""
    from tinyagent.testing._recorded import file_name

    folder = Path(request.config.rootpath, request.config.getini("tinyagent_replays_dir"))
    marker = request.node.get_closest_marker("replay")
    name = _name_in(marker) if marker is not None else None
    if name is not None:
        return folder / f"{name}.jsonl"
    file = Path(request.node.path).stem
    return folder / file / f"{file_name(request.node.name)}.jsonl"


def _name_in(marker: pytest.Mark) -> str | None:
    def named(name: str | None = None) -> str | None:
        return name

    return named(*marker.args, **marker.kwargs)


@pytest.fixture
def recorded(request: pytest.FixtureRequest, replay_path: Path) -> MemoryLog:
    """A log for ``build(log=recorded)``: model and tools answer from the test's recorded session.

    Nothing live is asked (``LiveEffectError``) but under ``--ta-record`` or ``--ta-allow-live``.
    The test fails where today's code diverges from the recording.
    """
    from tinyagent.testing._recorded import RecordedSession

    rootpath = request.config.rootpath
    shown = replay_path.relative_to(rootpath) if rootpath in replay_path.parents else replay_path
    mode: Any = request.config.getoption("--ta-record")
    is_live: Any = request.config.getoption("--ta-allow-live")
    session = RecordedSession(replay_path, shown.as_posix(), mode, allows_live=is_live)
    request.node.stash[_SESSION] = session
    return session.log


@pytest.fixture
def agent_log(request: pytest.FixtureRequest) -> MemoryLog:
    """An empty log in memory; its transcript joins the report of a test that failed."""
    from tinyagent.runtime.stores.memory import MemoryLog

    log = request.node.stash[_LOG] = MemoryLog(name=request.node.name)
    return log


@pytest.fixture
def scripted_model(request: pytest.FixtureRequest) -> Callable[..., ScriptedModel]:
    """Make scripted models, as ``scripted`` does, of turns or of a model that was made already.

    The test fails if a turn of one was never asked for.
    """
    from tinyagent.testing.models import ScriptedModel, scripted

    def make(*turns: Any) -> ScriptedModel:
        is_made = len(turns) == 1 and isinstance(turns[0], ScriptedModel)
        model: ScriptedModel = turns[0] if is_made else scripted(*turns)
        _check_at_the_end(request, model.assert_done)
        return model

    return make


@pytest.fixture
def echo_model() -> EchoModel:
    """A model that calls every tool once, with arguments that fit, and then ends."""
    from tinyagent.testing.models import EchoModel

    return EchoModel()


@pytest.fixture
def virtual_clock(request: pytest.FixtureRequest) -> VirtualClock:
    """A clock that the test moves; the test fails if somebody still sleeps on it at the end."""
    from tinyagent.testing.clock import VirtualClock

    clock = VirtualClock()

    def is_over() -> None:
        if clock.sleeping:
            pytest.fail(f"{clock.sleeping} still wait for the virtual clock", pytrace=False)

    _check_at_the_end(request, is_over)
    return clock


@pytest.fixture
def crash_everywhere() -> Callable[..., AsyncIterator[CrashRun]]:
    """Cut a session after every record, and take it up: ``async for run in crash_everywhere(...)``.

    See ``tinyagent.testing.crash_runs``.
    """
    from tinyagent.testing.crash import crash_runs

    return crash_runs


@pytest.fixture
def transcript_snapshot(request: pytest.FixtureRequest) -> Any:
    """A syrupy snapshot of who said what: ``assert log == transcript_snapshot``."""
    snapshot = _syrupy(request)
    from tinyagent.testing._snapshots import TranscriptExtension

    return snapshot.use_extension(TranscriptExtension)


@pytest.fixture
def eventlog_snapshot(request: pytest.FixtureRequest) -> Any:
    """A syrupy snapshot of which record led to which: ``assert log == eventlog_snapshot``."""
    snapshot = _syrupy(request)
    from tinyagent.testing._snapshots import EventLogExtension

    return snapshot.use_extension(EventLogExtension)


def _syrupy(request: pytest.FixtureRequest) -> Any:
    try:
        return request.getfixturevalue("snapshot")
    except pytest.FixtureLookupError:
        pytest.fail("snapshots of logs need the package syrupy (extra: testing)", pytrace=False)


def _check_at_the_end(request: pytest.FixtureRequest, check: Callable[[], None]) -> None:
    request.node.stash.setdefault(_CHECKS, []).append(check)
