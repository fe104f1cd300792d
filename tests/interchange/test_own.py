"""Our own JSON lines, and what all formats share: the tables, the places, the guesses."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.recordings import PARIS, REPLAYS, agent, recorded

from tinyagent import interchange
from tinyagent.agent_types import AgentToolResult, TextContent
from tinyagent.continuing import fork
from tinyagent.interchange import export, exported, import_
from tinyagent.runtime.errors import ForeignFormatError
from tinyagent.runtime.load import read_log
from tinyagent.runtime.log import head, open_log_at, open_packed
from tinyagent.runtime.repair import verify
from tinyagent.runtime.stores import Level
from tinyagent.runtime.stores.memory import MemoryLog
from tinyagent.testing import chat
from tinyagent.verbs import load, open_log

NAMES = sorted(path.name for path in REPLAYS.glob("*.jsonl"))


@pytest.mark.parametrize("name", NAMES)
def test_a_recording_is_exported_and_imported_byte_for_byte(name: str, tmp_path: Path) -> None:
    whole = (REPLAYS / name).read_bytes()
    assert export(REPLAYS / name, "jsonl") == whole
    (found,) = import_(whole, into=tmp_path / "again")
    assert (found.format, found.foreign, len(found.logs)) == ("jsonl", {}, 1)
    assert export(tmp_path / "again", "jsonl") == whole
    assert load(tmp_path / "again").replay().ok


async def test_a_log_in_memory_is_exported_as_its_records_say() -> None:
    log = await recorded("one-tool")
    (found,) = import_(export(log, "jsonl"))
    assert [record.payload for record in found.logs[0].records] == [r.payload for r in log.read()]


async def test_large_values_come_as_files_beside(tmp_path: Path) -> None:
    large = "x" * 100_000

    async def tool(*given: object) -> AgentToolResult:
        return AgentToolResult(content=[TextContent(text=large)])

    async with open_log(tmp_path / "log") as log:
        await agent(log, [chat(calls=[PARIS]), chat(text="ok")], execute=tool).prompt("hi")
    made = exported(tmp_path / "log", "jsonl")
    assert [name[:8] for name in made.beside] == ["*.blobs/"]
    with pytest.raises(ValueError, match="1 large values of the log lie in files of their own"):
        export(tmp_path / "log", "jsonl")
    (tmp_path / "out.jsonl").write_bytes(made.body)
    for name, value in made.beside.items():
        path = tmp_path / name.replace("*", "out")
        path.parent.mkdir(parents=True)
        path.write_bytes(value)
    (found,) = import_(tmp_path / "out.jsonl", into=tmp_path / "again")
    assert any(large in str(r.payload) for r in read_log(found.logs[0].where).records)


def test_a_folder_that_is_there_is_not_written_into(tmp_path: Path) -> None:
    (tmp_path / "here").mkdir()
    with pytest.raises(ValueError, match=r"here is there already; give a folder of its own"):
        import_(REPLAYS / "retry.jsonl", into=tmp_path / "here")
    found = import_([REPLAYS / "retry.jsonl", REPLAYS / "abort.jsonl"], into=tmp_path / "new")
    assert [Path(each.logs[0].where).name for each in found] == ["new", "new-2"]


def test_what_is_of_no_known_format_says_which_there_are() -> None:
    with pytest.raises(ForeignFormatError, match=r"\(bytes\): of no format that is known \(jsonl"):
        import_(b"hello\n")
    with pytest.raises(ValueError, match=r"nothing can be exported to 'word'; formats: .*jsonl"):
        export(REPLAYS / "retry.jsonl", "word")
    with pytest.raises(ValueError, match=r"nothing can be imported from 'word'"):
        import_(b"hello\n", "word")


@pytest.mark.parametrize("to", sorted(interchange.EXPORTERS))
def test_the_same_log_gives_the_same_bytes(to: str) -> None:
    one, other = (exported(load(REPLAYS / "one-tool.jsonl"), to) for _ in range(2))
    assert one == other
    assert one.body


def test_the_transcript_holds_what_was_said_and_no_control_characters() -> None:
    text = export(REPLAYS / "tool-error.jsonl", "md").decode()
    assert "# tool-error\n" in text
    assert "## User\n\nWeather in Paris?\n" in text
    assert "### Result of `weather` (failed)\n\n```\n503 Service Unavailable\n```\n" in text
    assert text.endswith("## Assistant\n\nI could not look it up.\n")


async def test_a_fence_is_longer_than_those_inside_and_escapes_are_shown() -> None:
    async def tool(*given: object) -> AgentToolResult:
        return AgentToolResult(content=[TextContent(text="````\nlater \x1b[31m")])

    log = MemoryLog()
    await agent(log, [chat(calls=[PARIS]), chat(text="ok")], execute=tool).prompt("hi")
    assert "`````\n````\nlater ␛[31m\n`````" in export(log, "md").decode()


async def test_controls_of_one_byte_steer_no_terminal_either() -> None:
    log = MemoryLog()
    await agent(log, [chat(text="red \x9b31m")]).prompt("hi")
    assert "red \ufffd31m\n" in export(log, "md").decode()


async def test_a_fork_is_exported_with_what_it_shares_and_lives_without_its_parent(
    tmp_path: Path,
) -> None:
    import_(REPLAYS / "one-tool.jsonl", into=tmp_path / "here" / "parent")
    async with fork(tmp_path / "here" / "parent", at=15, into=tmp_path / "here" / "fork") as log:
        await agent(log, [chat(text="Snow.")]).prompt("And in winter?")
    whole = export(tmp_path / "here" / "fork", "jsonl")
    import_(whole, into=tmp_path / "elsewhere" / "fork")
    assert export(tmp_path / "elsewhere" / "fork", "jsonl") == whole
    alone = load(tmp_path / "elsewhere" / "fork")
    assert alone.meta == load(tmp_path / "here" / "fork").meta
    assert alone.replay().ok


@pytest.mark.parametrize("level", ["crc", "chain"])
async def test_the_chain_of_a_log_holds_on_the_other_side(level: Level, tmp_path: Path) -> None:
    log = open_log_at(tmp_path / "log", now_us=lambda: 1, level=level)
    await agent(log, [chat(text="ok")]).prompt("hi")
    await log.close()
    (found,) = import_(export(tmp_path / "log", "jsonl"), into=tmp_path / "again")
    assert found.logs[0].meta.level == level
    assert verify(tmp_path / "again").verdict == "clean"
    assert head(open_packed(tmp_path / "again")) == head(open_packed(tmp_path / "log"))
