"""What one ticket costs from a cold start, beside what importing the libraries alone costs.

The command is `support-agent run --ticket 42`, the whole process with both servers, against a Messages API on this
machine that plays three replies without delay: read, act, finish. Each round has a fresh copy of the demo helpdesk.
"""

import json
import sys
from pathlib import Path

from benchmarks.figures import Figures, Limit, begin, conclude
from benchmarks.places import SUPPORT_AGENT, Cost, Place, messages_api, temporary_place

ROUNDS = 15
MOST_TIMES_THE_FLOOR = 1.25
MOST_PEAK_MIB = 160

REPLIES = Path(__file__).with_name("replies.json")
FLOOR = [sys.executable, "-c", "import mcp, anthropic, typer, rich.console"]
RUN = [SUPPORT_AGENT, "run", "--ticket", "42", "--json"]

# The same command; its own peak is asked for from within, so that the servers' do not count.
TELL_PEAK = """\
import atexit, pathlib, resource
peak_kib = lambda: resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
atexit.register(lambda: pathlib.Path("peak").write_text(str(peak_kib())))
from agent.cli import main
main()
"""


def main() -> None:
    """Measure, print, and end with 1 if a limit does not hold."""
    begin("Cold start: support-agent run --ticket 42, three replies, beside importing the libraries")
    with temporary_place() as place, messages_api(REPLIES) as url:
        helpdesk = place.folder / "helpdesk"
        place.run([SUPPORT_AGENT, "init", "--demo"])
        place.home.rename(helpdesk)
        rounds = [_round(place, helpdesk, url) for _ in range(ROUNDS + 1)][1:]  # the first one warms the file cache
        peaks = Figures(name="peak of the host", unit="MiB", values=[_peak(place, helpdesk, url) for _ in range(3)])
    floors, runs = ([costs[which] for costs in rounds] for which in (0, 1))
    ratios = Figures(name="run / floor, wall", unit="x", values=[run.wall_s / floor.wall_s for floor, run in rounds])
    conclude(
        [
            Figures(name="floor, wall", unit="s", values=[cost.wall_s for cost in floors]),
            Figures(name="run, wall", unit="s", values=[cost.wall_s for cost in runs]),
            ratios,
            Figures(name="floor, CPU", unit="s", values=[cost.cpu_s for cost in floors]),
            Figures(name="run, CPU with both servers", unit="s", values=[cost.cpu_s for cost in runs]),
            peaks,
        ],
        [Limit(figures=ratios, most=MOST_TIMES_THE_FLOOR), Limit(figures=peaks, most=MOST_PEAK_MIB)],
    )


def _round(place: Place, helpdesk: Path, url: str) -> tuple[Cost, Cost]:
    place.restore(helpdesk)
    floor = place.run(FLOOR)
    run = place.run(RUN, base_url=url)
    _check(run.output)
    return floor, run


def _peak(place: Place, helpdesk: Path, url: str) -> float:
    place.restore(helpdesk)
    _check(place.run([sys.executable, "-c", TELL_PEAK, *RUN[1:]], base_url=url).output)
    return int((place.work / "peak").read_text()) / 1024


def _check(output: str) -> None:
    # A run that ends early would be fast.
    report = json.loads(output)
    if (report["outcome"], report["turns"]) != ("closed", 3):
        sys.exit(f"This is not the run that was to be measured: {report}")


if __name__ == "__main__":
    main()
