"""What `support-agent --help` costs, beside a bare Typer application with the same commands and options.

The bare application is written from the real one's own description: same groups, commands, parameters and help texts,
and functions that do nothing. What is left between the two is what our modules cost.
"""

import re
import sys
from collections.abc import Iterator
from typing import Any

import typer

from agent.cli import app
from benchmarks.figures import Figures, Limit, begin, conclude
from benchmarks.places import SUPPORT_AGENT, Place, temporary_place

ROUNDS = 40
MOST_TIMES_BARE = 1.25
HEAVY = ("mcp", "mcp_types", "anthropic", "sqlalchemy", "pydantic", "jsonschema", "httpx2", "genai_prices", "anyio")

_HEAD = """\
import sys
from typing import Annotated

import typer

root = typer.Typer(
    name="support-agent", help={help!r}, no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False,
    context_settings={{"help_option_names": ["-h", "--help"]}},
)
"""


def main() -> None:
    """Measure, print, and end with 1 if the limit does not hold or something heavy is loaded."""
    begin("support-agent --help, beside a bare Typer application with the same commands")
    with temporary_place() as place:
        bare = place.work / "bare.py"
        bare.write_text(bare_application(), encoding="utf-8")
        # Run like the installed command, whose module has been compiled: a script would be compiled every time.
        commands = [[sys.executable, "-c", "import bare; bare.root()", "--help"], [SUPPORT_AGENT, "--help"]]
        rounds = [[place.run(command) for command in commands] for _ in range(ROUNDS + 1)][1:]
        _check_same_commands(rounds[0][0].output, rounds[0][1].output)
        loaded = _heavy_modules(place)
    bares, ours = ([costs[which] for costs in rounds] for which in (0, 1))
    ratios = Figures(name="--help / bare, CPU", unit="x", values=[b.cpu_s / a.cpu_s for a, b in rounds])
    conclude(
        [
            Figures(name="bare, CPU", unit="ms", values=[cost.cpu_s * 1000 for cost in bares], digits=1),
            Figures(name="--help, CPU", unit="ms", values=[cost.cpu_s * 1000 for cost in ours], digits=1),
            ratios,
            Figures(name="--help, wall", unit="ms", values=[cost.wall_s * 1000 for cost in ours], digits=1),
        ],
        [Limit(figures=ratios, most=MOST_TIMES_BARE)],
        objections=[f"DOES NOT HOLD: --help loads {name}" for name in loaded],
    )


def bare_application() -> str:
    """Return the source of an application with our commands and options, and nothing behind them."""
    root: Any = typer.main.get_command(app)
    return _HEAD.format(help=root.help) + "\n".join(_callback(root)) + "\n" + "\n".join(_group("root", root))


def _callback(root: Any) -> Iterator[str]:
    yield f"\n@root.callback()\ndef options({_parameters(root)}) -> None:\n    {root.help!r}\n"


def _group(variable: str, group: Any) -> Iterator[str]:
    for name, command in group.commands.items():
        function = f"{variable}_{name.replace('-', '_')}"
        if hasattr(command, "commands"):
            yield f"{function} = typer.Typer(help={command.help!r}, no_args_is_help=True)"
            yield f"{variable}.add_typer({function}, name={name!r})\n"
            yield from _group(function, command)
        else:
            yield f"\n@{variable}.command({name!r})\ndef {function}({_parameters(command)}) -> None:"
            yield f"    {command.help!r}\n"


def _parameters(command: Any) -> str:
    own = [parameter for parameter in command.params if parameter.name != "help"]
    return ", ".join(_parameter(parameter) for parameter in own)


def _parameter(parameter: Any) -> str:
    if parameter.param_type_name == "argument":
        return f"{parameter.name}: Annotated[str, typer.Argument(help={parameter.help!r})] = ''"
    declared = ", ".join(repr(option) for option in parameter.opts)
    kind, default = ("bool", "False") if parameter.is_flag else ("str | None", "None")
    return f"{parameter.name}: Annotated[{kind}, typer.Option({declared}, help={parameter.help!r})] = {default}"


def _check_same_commands(bare: str, ours: str) -> None:
    listed = [re.findall(r"^│ ([a-z][\w-]*) ", text, re.MULTILINE) for text in (bare, ours)]
    if not listed[0] or listed[0] != listed[1]:
        sys.exit(f"The bare application has other commands than ours: {listed}")


def _heavy_modules(place: Place) -> list[str]:
    script = (
        "import sys\nfrom agent.cli import main\n"
        "try:\n    main()\nexcept SystemExit:\n    print('\\n' + ' '.join(sys.modules))"
    )
    loaded = place.run([sys.executable, "-c", script, "--help"]).output.splitlines()[-1].split()
    return [name for name in HEAVY if name in loaded]


if __name__ == "__main__":
    main()
