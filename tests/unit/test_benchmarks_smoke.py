"""The benchmarks' own parts: what is compared is comparable, and a broken promise ends with 1."""

from typing import Any

import pytest
import typer

from agent.cli import app
from benchmarks.cold_start import REPLIES
from benchmarks.figures import Figures, Limit, conclude
from benchmarks.help import bare_application
from tests.fakes.answers import load

FOLDER = REPLIES.parent


def figures(*values: float) -> Figures:
    return Figures(name="turn", unit="ms", values=values)


def commands(group: Any, *above: str) -> dict[tuple[str, ...], list[str]]:
    """The parameters of every command, by its whole name."""
    found: dict[tuple[str, ...], list[str]] = {above: [parameter.name for parameter in group.params]}
    for name, command in getattr(group, "commands", {}).items():
        found |= commands(command, *above, name)
    return found


def test_one_disturbed_round_does_not_break_a_limit():
    assert Limit(figures=figures(4, 5, 90), most=5).holds


def test_a_limit_that_most_rounds_break_does_not_hold():
    assert not Limit(figures=figures(1, 6, 6), most=5).holds


def test_a_benchmark_within_its_limits_ends_with_0(capsys: pytest.CaptureFixture[str]):
    with pytest.raises(SystemExit) as end:
        conclude([figures(1, 2, 3)], [Limit(figures=figures(1, 2, 3), most=5)])
    assert end.value.code == 0
    assert "holds: turn, median 2.00 ms, limit 5 ms" in capsys.readouterr().out


def test_a_benchmark_beyond_a_limit_ends_with_1_and_says_which(capsys: pytest.CaptureFixture[str]):
    with pytest.raises(SystemExit) as end:
        conclude([figures(1, 9, 9)], [Limit(figures=figures(1, 9, 9), most=5)])
    assert end.value.code == 1
    assert "DOES NOT HOLD: turn, median 9.00 ms, limit 5 ms" in capsys.readouterr().out


def test_the_bare_application_has_our_commands_and_parameters():
    bare: dict[str, Any] = {}
    exec(bare_application(), bare)
    assert commands(typer.main.get_command(bare["root"])) == commands(typer.main.get_command(app))


def test_every_benchmark_is_told_in_the_readme():
    commands = [path for path in FOLDER.glob("*.py") if "__main__" in path.read_text(encoding="utf-8")]
    readme = (FOLDER / "README.md").read_text(encoding="utf-8")
    assert len(commands) >= 4
    assert [path.stem for path in commands if f"python -m benchmarks.{path.stem}`" not in readme] == []


def test_the_replies_read_then_act_then_finish():
    kinds = [[block["type"] for block in answer.content] for answer in load(REPLIES)]
    assert kinds == [["text", "tool_use"], ["tool_use"], ["text"]]
