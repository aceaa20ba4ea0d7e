"""What was measured, what was promised, and whether the promise holds."""

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median
from typing import NoReturn

from benchmarks.machine import describe


@dataclass(frozen=True, kw_only=True, slots=True)
class Figures:
    """One quantity, measured once a round."""

    name: str
    unit: str
    values: Sequence[float]
    digits: int = 2

    @property
    def median(self) -> float:
        """The middle one: what a limit is held against, since one disturbed round does not move it."""
        return median(self.values)

    def row(self) -> str:
        """Return the line of the table."""
        numbers = (min(self.values), self.median, max(self.values))
        return f"{self.name:<34}" + "".join(f"{number:>10.{self.digits}f}" for number in numbers) + f"  {self.unit}"


@dataclass(frozen=True, kw_only=True, slots=True)
class Limit:
    """The most that the median of these figures may be."""

    figures: Figures
    most: float

    @property
    def holds(self) -> bool:
        """Whether it is kept."""
        return self.figures.median <= self.most

    def verdict(self) -> str:
        """Return the sentence under the table."""
        found, unit, digits = self.figures.median, self.figures.unit, self.figures.digits
        word = "holds" if self.holds else "DOES NOT HOLD"
        return f"{word}: {self.figures.name}, median {found:.{digits}f} {unit}, limit {self.most:g} {unit}"


def begin(title: str) -> None:
    """Print what is measured, and on what."""
    print(title)
    print("\n".join(describe()), flush=True)


def conclude(figures: Sequence[Figures], limits: Sequence[Limit], *, objections: Sequence[str] = ()) -> NoReturn:
    """Print the table and the verdicts, and end with 0 if every limit holds and nothing is objected, else with 1."""
    rounds = len(figures[0].values)
    print(f"\n{f'{rounds} rounds' if rounds > 1 else 'one round':<34}{'min':>10}{'median':>10}{'max':>10}")
    print("\n".join(figure.row() for figure in figures))
    print("\n" + "\n".join([*(limit.verdict() for limit in limits), *objections]))
    sys.exit(0 if all(limit.holds for limit in limits) and not objections else 1)
