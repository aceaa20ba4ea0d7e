"""The host against `server-filesystem`: which folders it may use are our roots, and nothing else is within reach."""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path

import anyio
import pytest

from agent.settings import StdioTransport
from tests.compatibility import Record
from tests.outside.node import Programs, version
from tests.outside.using import Use, using

pytestmark = pytest.mark.outside

PROGRAM = "server-filesystem"
DENIED = "Access denied"


@pytest.fixture
def manuals(tmp_path: Path) -> Path:
    """A folder with a manual, and beside it a file that is nobody's business."""
    folder = tmp_path / "manuals"
    folder.mkdir()
    (folder / "login.md").write_text("# Login\n\nForget the saved login first.\n", encoding="utf-8")
    (tmp_path / "secret.txt").write_text("hunter2", encoding="utf-8")
    (folder / "shortcut.txt").symlink_to(tmp_path / "secret.txt")
    (tmp_path / "manuals-private").mkdir()
    (tmp_path / "manuals-private" / "secret.txt").write_text("hunter2", encoding="utf-8")
    return folder


@asynccontextmanager
async def filesystem(programs: Programs, home: Path, *roots: Path) -> AsyncGenerator[Use]:
    """Yield the server, started without a folder of its own, once it knows the roots."""
    node, *arguments = programs.command(PROGRAM)
    async with using(home, StdioTransport(command=node, args=tuple(arguments)), roots=roots) as use:
        await knows(use, *roots)
        yield use


async def knows(use: Use, *roots: Path) -> None:
    """Wait until the server has the roots: it asks for them by itself, beside the first calls."""
    with anyio.fail_after(600):
        while not {str(root) for root in roots} <= set((await use.text("list_allowed_directories")).splitlines()):
            pass


async def test_the_roots_are_the_folders_that_it_may_use(
    programs: Programs, home: Path, tmp_path: Path, manuals: Path, compatibility: Record
):
    more = tmp_path / "more"
    more.mkdir()
    async with filesystem(programs, home, manuals, more) as use:
        allowed = await use.text("list_allowed_directories")
        assert allowed.splitlines() == ["Allowed directories:", str(manuals), str(more)]
        assert await use.text("read_text_file", path=str(manuals / "login.md")) == (
            "# Login\n\nForget the saved login first.\n"
        )
        await use.told("write_file", path=str(more / "note.md"), content="Grüße 🙂\n")
        assert (more / "note.md").read_text(encoding="utf-8") == "Grüße 🙂\n"
        assert "login.md" in await use.text("search_files", path=str(manuals), pattern="*.md")
        assert "[FILE] note.md" in await use.text("list_directory", path=str(more))
        compatibility(
            "Outside programs",
            [f"{PROGRAM} {version(PROGRAM)}", "stdio", use.server.protocol_version],
            {"tools": f"{len(use.server.tools)} listed, 5 called", "roots": "its folders; all else is refused by it"},
        )


@pytest.mark.parametrize("path", ["../secret.txt", "shortcut.txt", "../manuals-private/secret.txt"])
async def test_a_path_outside_of_the_roots_is_refused_and_the_model_told_so(
    programs: Programs, home: Path, manuals: Path, path: str
):
    async with filesystem(programs, home, manuals) as use:
        for tool in ("read_text_file", "get_file_info"):
            said = await use.refusal(tool, path=f"{manuals / path}")
            assert said.startswith(DENIED)
            assert "hunter2" not in said
        assert (await use.refusal("write_file", path=f"{manuals / path}", content="x")).startswith(DENIED)
    assert (manuals / path).read_text(encoding="utf-8") == "hunter2"


async def test_without_roots_it_may_use_nothing(programs: Programs, home: Path, manuals: Path):
    async with filesystem(programs, home) as use:
        assert (await use.refusal("read_text_file", path=str(manuals / "login.md"))).startswith(DENIED)


async def test_a_folder_that_does_not_exist_is_not_among_the_roots(programs: Programs, home: Path, manuals: Path):
    node, *arguments = programs.command(PROGRAM)
    transport = StdioTransport(command=node, args=tuple(arguments))
    async with using(home, transport, roots=[manuals.parent / "gone", manuals]) as use:
        await knows(use, manuals)
        assert "gone" not in await use.text("list_allowed_directories")
