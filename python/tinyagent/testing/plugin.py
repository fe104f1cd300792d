"""The pytest plugin: sessions recorded once and replayed for ever, models without a network.

It imports nothing but pytest until one of its fixtures is used, and none is used by itself.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Generator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from tinyagent.runtime.stores import Log
    from tinyagent.runtime.stores.memory import MemoryLog
    from tinyagent.testing._marked import Crashed
    from tinyagent.testing._rebuilding import Rebuilding
    from tinyagent.testing._recorded import RecordedSession
    from tinyagent.testing.clock import VirtualClock
    from tinyagent.testing.crash import CrashRun
    from tinyagent.testing.exploring import Sim
    from tinyagent.testing.models import EchoModel, ScriptedModel

MODES = ("none", "once", "new", "all")
_MARKERS = {
    "replay": ("recorded", ("name", "tools"), "build(log=recorded)"),
    "explore": ("sim", ("schedules", "strategy"), "build(log=sim.log(), clock=sim.clock)"),
    "crash": ("crashed", ("points",), "run = await crashed(build, 'Remind Ann.')"),
}
"""Of each marker: the fixture that its test takes, what it says, and what the test does."""
_SESSION: pytest.StashKey[RecordedSession] = pytest.StashKey()
_LOGS: pytest.StashKey[list[Log]] = pytest.StashKey()
_REBUILDING: pytest.StashKey[Rebuilding] = pytest.StashKey()
_REBUILT = "tinyagent_rebuilt"
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
    for name, metavar, told in (
        ("html", "DIR", "write the logs of every test that fails as pages into this folder"),
        ("keep", "DIR", "write the logs of every test that fails into this folder"),
        ("tape", "T", "run explore tests under this tape alone, which a failure printed"),
    ):
        group.addoption(f"--ta-{name}", metavar=metavar, help=told)
    for name, told in (
        ("seed", "run explore tests under this seed alone"),
        ("schedules", "run explore tests under so many schedules"),
        ("rebuild-every", "throw agents' states away every N inputs, and make them from the log"),
    ):
        group.addoption(f"--ta-{name}", metavar="N", type=int, help=told)
    for name, told in (("replays", "recorded sessions"), ("seeds", "schedules that failed once")):
        parser.addini(
            f"tinyagent_{name}_dir",
            help=f"folder of the {told} (default: tests/{name})",
            default=f"tests/{name}",
        )


def pytest_configure(config: pytest.Config) -> None:
    """Make the markers known."""
    for line in (
        "replay(name=None, tools='recorded'): the test runs against a recorded session, through "
        "the fixture 'recorded'; name: of the file, in place of the test's own; tools: 'live' "
        "runs the tools, and the model alone answers from the file",
        "explore(schedules=500, strategy='portfolio'): the async test is a scenario, run under "
        "many schedules in virtual time; it takes the fixture 'sim'",
        "crash(points='all'): the async test is repeated with the session that it runs, through "
        "the fixture 'crashed', cut behind another record; points: numbers or kinds of records",
    ):
        config.addinivalue_line("markers", line)
    option: Callable[[str], Any] = config.getoption
    if (schedules := option("--ta-schedules")) is not None and schedules < 1:
        raise pytest.UsageError(f"--ta-schedules is 1 or more, got {schedules}")
    if None not in (option("--ta-seed"), option("--ta-tape")):
        raise pytest.UsageError("--ta-seed and --ta-tape each name the one schedule: give one")
    if (every := option("--ta-rebuild-every")) is not None:
        from tinyagent.testing._rebuilding import Rebuilding

        try:
            config.stash[_REBUILDING] = Rebuilding(every)
        except ValueError as error:
            raise pytest.UsageError(f"--ta-rebuild-every: {error}") from None


def pytest_sessionfinish(session: pytest.Session) -> None:
    """Hand on how many states were made anew: what a worker of xdist prints nobody sees."""
    rebuilding = session.config.stash.get(_REBUILDING, None)
    output: dict[str, Any] | None = getattr(session.config, "workeroutput", None)
    if rebuilding is not None and output is not None:
        output[_REBUILT] = rebuilding.count


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node: Any, error: object) -> None:
    """Add what a worker of xdist has made; one that crashed has told nothing."""
    if (rebuilding := node.config.stash.get(_REBUILDING, None)) is not None:
        rebuilding.count += getattr(node, "workeroutput", {}).get(_REBUILT, 0)


def pytest_terminal_summary(
    terminalreporter: pytest.TerminalReporter, config: pytest.Config
) -> None:
    """Say how many states were made anew."""
    if (rebuilding := config.stash.get(_REBUILDING, None)) is not None:
        terminalreporter.write_line(rebuilding.told)


def pytest_unconfigure(config: pytest.Config) -> None:
    """Leave sessions alone."""
    if (rebuilding := config.stash.get(_REBUILDING, None)) is not None:
        rebuilding.end()


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Refuse a test whose marker would be for nothing."""
    names: list[str] = getattr(item, "fixturenames", [])
    said = [marker for marker in _MARKERS if _said(item, marker) is not None]
    if len(said) > 1:
        pytest.fail(f"a test is marked {' or '.join(map(repr, said))}, not both", pytrace=False)
    for marker in said:
        fixture, _, example = _MARKERS[marker]
        if fixture not in names:
            pytest.fail(f"a test marked {marker!r} takes {fixture!r}: {example}", pytrace=False)
        if marker != "replay" and "recorded" in names:
            many = f"a test marked {marker!r} is run many times"
            pytest.fail(f"{many}, 'recorded' is the log of one: {example}", pytrace=False)


def _said(item: pytest.Item, marker: str) -> dict[str, Any] | None:
    """Return what the marker of *item* says, by name; None if it has none."""
    found = item.get_closest_marker(marker)
    if found is None:
        return None
    known = _MARKERS[marker][1]
    said: dict[str, Any] = {**dict(zip(known, found.args, strict=False)), **found.kwargs}
    wrong = [*map(repr, found.args[len(known) :]), *(name for name in said if name not in known)]
    if wrong:
        pytest.fail(
            f"@pytest.mark.{marker} takes {', '.join(known)}; not {', '.join(wrong)}",
            pytrace=False,
        )
    return said


@pytest.hookimpl(tryfirst=True)
def pytest_pyfunc_call(pyfuncitem: pytest.Function) -> bool | None:
    """Run a test more than once, if it is marked so."""
    explore, crash = _said(pyfuncitem, "explore"), _said(pyfuncitem, "crash")
    if explore is None and crash is None:
        return None
    from tinyagent.testing._marked import run_crashed, run_explored

    if crash is not None:
        run_crashed(pyfuncitem, **crash)
    elif explore is not None:
        logs: list[Log] = []
        pyfuncitem.stash[_LOGS] = logs
        run_explored(pyfuncitem, logs, **explore)
    return True


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
            fault = session.fault()
        except (LiveEffectError, DivergenceError) as error:
            result, fault = None, str(error)
        if fault:  # outside of the block above, or it would be said twice
            pytest.fail(fault, pytrace=False)
    for check in item.stash.get(_CHECKS, ()):
        try:
            check()
        except AssertionError as error:
            raise pytest.fail.Exception(str(error), pytrace=False) from None
    if session is not None and session.write():
        item.add_report_section("call", "tinyagent", f"recorded {session.path}")
    return result


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item,
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Add transcripts to the report of a test that failed; write its logs where that is asked."""
    report = yield
    if report.when != "call" or not report.failed:
        return report
    session = item.stash.get(_SESSION, None)
    logs = [session.log] if session is not None else item.stash.get(_LOGS, ())
    if logs := [log for log in logs if log.seq]:
        from tinyagent.testing import _kept

        option: Callable[[str], Any] = item.config.getoption
        report.sections += _kept.sections(
            logs, item.nodeid, html=option("--ta-html"), keep=option("--ta-keep")
        )
    refused = session.answers.refused if session is not None else None
    if refused is not None and str(refused) not in report.longreprtext:
        report.sections.append(("tinyagent refused", str(refused)))
    return report


@pytest.fixture
def replay_path(request: pytest.FixtureRequest) -> Path:
    """Where the session of this test is recorded: ``<replays>/<file>/<test>.jsonl``.

    A test in a class is ``<class>.<test>``, or those of two classes would share a file.
    """
    from tinyagent.testing._recorded import place

    node: pytest.Item = request.node
    folder = Path(node.config.rootpath, str(node.config.getini("tinyagent_replays_dir")))
    name = (_said(node, "replay") or {}).get("name")
    if name is not None:
        if not isinstance(name, str) or not name:
            told = f"replay(name=) is the name of a file without its ending, got {name!r}"
            pytest.fail(told, pytrace=False)
        return folder / f"{name}.jsonl"
    classes = [above.name for above in node.listchain() if isinstance(above, pytest.Class)]
    records = node.config.getoption("--ta-record") != "none"
    test = ".".join([*classes, node.name])
    return place(folder / Path(node.path).stem, test, records=records)


@pytest.fixture
def recorded(request: pytest.FixtureRequest, replay_path: Path) -> MemoryLog:
    """A log for ``build(log=recorded)``: model and tools answer from the test's recorded session.

    Nothing live is asked (``LiveEffectError``) but under ``--ta-record`` or ``--ta-allow-live``.
    The test fails where today's code diverges from the recording.
    """
    from tinyagent.testing._recorded import RecordedSession

    node: pytest.Item = request.node
    rootpath = node.config.rootpath
    shown = replay_path.relative_to(rootpath) if rootpath in replay_path.parents else replay_path
    mode: Any = node.config.getoption("--ta-record")
    is_live: Any = node.config.getoption("--ta-allow-live")
    tools = (_said(node, "replay") or {}).get("tools", "recorded")
    if tools not in ("recorded", "live"):
        pytest.fail(f"replay(tools=) is 'recorded' or 'live', got {tools!r}", pytrace=False)
    session = RecordedSession(
        replay_path, shown.as_posix(), mode, allows_live=is_live, runs_tools=tools == "live"
    )
    node.stash[_SESSION] = session
    return session.log


@pytest.fixture
def agent_log(request: pytest.FixtureRequest) -> MemoryLog:
    """An empty log in memory; its transcript joins the report of a test that failed."""
    from tinyagent.runtime.stores.memory import MemoryLog

    log = MemoryLog(name=request.node.name)
    request.node.stash[_LOGS] = [log]
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
def sim(request: pytest.FixtureRequest) -> Sim:
    """Clock and logs of one schedule, for a test marked ``explore``, which is given each its own.

    See ``tinyagent.testing.Sim``.
    """
    _is_for(request, "explore")
    from tinyagent.testing.exploring import Sim
    from tinyagent.testing.schedules import Tape

    return Sim(Tape())


@pytest.fixture
def crashed(request: pytest.FixtureRequest) -> Crashed:
    """Run a session that is cut, for a test marked ``crash``: ``await crashed(build, prompts)``.

    Each time the test is repeated the cut is another. It returns a ``tinyagent.testing.CrashRun``.
    """
    _is_for(request, "crash")
    from tinyagent.testing._marked import Crashed

    logs: list[Log] = []
    request.node.stash[_LOGS] = logs
    return Crashed(logs)


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


def _is_for(request: pytest.FixtureRequest, marker: str) -> None:
    """Refuse a fixture to a test that would be run but once with it."""
    if _said(request.node, marker) is None:
        fixture = _MARKERS[marker][0]
        pytest.fail(f"a test that takes {fixture!r} is marked @pytest.mark.{marker}", pytrace=False)


def _syrupy(request: pytest.FixtureRequest) -> Any:
    if not request.config.pluginmanager.hasplugin("syrupy"):
        from tinyagent.runtime.extras import told

        pytest.fail(told("snapshots of logs need", "testing"), pytrace=False)
    return request.getfixturevalue("snapshot")


def _check_at_the_end(request: pytest.FixtureRequest, check: Callable[[], None]) -> None:
    request.node.stash.setdefault(_CHECKS, []).append(check)
