"""From measurements to targets met or missed, and to the table in the README."""

import os
import platform
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from statistics import median

from .measures import Lateness, Load

README = Path(__file__).parent / "README.md"
BEGIN, END = "<!-- table: begin -->", "<!-- table: end -->"
LIBRARIES = ("Django", "channels", "daphne", "Twisted", "autobahn", "msgspec")
P99_LATENESS = 0.250


@dataclass(frozen=True, slots=True)
class Results:
    """All that was measured in one run."""

    ours: Load
    stock: Load
    lateness: Lateness
    queries: int


@dataclass(frozen=True, slots=True)
class Figure:
    """A row: how to read and show it, and what ours is to be, as a factor of stock."""

    name: str
    samples: Callable[[Load], list[float]]
    factor: float
    digits: int
    at_most: float | None = None
    at_least: float | None = None

    def ratio(self, results: Results) -> float:
        """Ours by stock, by the medians."""
        return median(self.samples(results.ours)) / median(self.samples(results.stock))

    def is_met(self, ratio: float) -> bool:
        """Whether the target, if there is one, is reached."""
        return (self.at_most is None or ratio <= self.at_most) and (
            self.at_least is None or ratio >= self.at_least
        )

    @property
    def target(self) -> str:
        """The target in words."""
        if self.at_most is not None:
            return f"≤ {self.at_most:g}"
        return "" if self.at_least is None else f"≥ {self.at_least:g}"

    def cell(self, load: Load) -> str:
        """The median and, in brackets, the range."""
        values = sorted(value * self.factor for value in self.samples(load))
        middle, low, high = (
            f"{v:,.{self.digits}f}" for v in (median(values), values[0], values[-1])
        )
        return middle if len(values) == 1 else f"{middle} ({low} to {high})"


FIGURES = (
    Figure("memory per idle tab, KiB", lambda x: x.tab_memory, 1 / 1024, 1, at_most=0.75),
    Figure("connects per second", lambda x: x.connects, 1, 0, at_least=1.5),
    Figure("server CPU per connect, ms", lambda x: x.connect_cpu, 1e3, 1),
    Figure("`activity` messages per second", lambda x: x.messages, 1, 0, at_least=1.5),
    Figure("server CPU per message, ms", lambda x: x.message_cpu, 1e3, 2),
    Figure("nudge storm: all tabs heard after, s", lambda x: x.storm, 1, 2, at_most=0.2),
)


def missed(results: Results) -> list[str]:
    """Return the targets that were missed."""
    found = [
        f"{figure.name}: {ratio:.2f} of stock, target {figure.target}"
        for figure in FIGURES
        if not figure.is_met(ratio := figure.ratio(results))
    ]
    for name, values in _lateness(results):
        if _p99(values) >= P99_LATENESS:
            found.append(f"{name}: p99 {_p99(values) * 1e3:.0f} ms, target < 250 ms")
    if results.queries:
        found.append(f"queries of a second request: {results.queries}, target 0")
    return found


def table(results: Results, tabs: int) -> str:
    """Return the results as Markdown."""
    lines = [
        f"At {tabs:,} idle tabs, one session each; medians (lowest to highest) of short turns.",
        "",
        "| | ours | stock | ours ÷ stock | target |",
        "| --- | --- | --- | --- | --- |",
    ]
    for figure in FIGURES:
        ours, stock = figure.cell(results.ours), figure.cell(results.stock)
        ratio = f"{figure.ratio(results):.2f}"
        lines.append(f"| {figure.name} | {ours} | {stock} | {ratio} | {figure.target} |")
    lines += [
        "",
        "| ours alone | p50 | p99 | highest | target |",
        "| --- | --- | --- | --- | --- |",
    ]
    for name, values in _lateness(results):
        p50, p99, highest = (f"{v * 1e3:.1f}" for v in (median(values), _p99(values), values[-1]))
        target = f"p99 < {P99_LATENESS * 1e3:.0f}"
        lines.append(f"| {name}, ms | {p50} | {p99} | {highest} | {target} |")
    lines += [
        "",
        f"Queries of a request within the look window: {results.queries} (target 0).",
        "",
        f"On {_machine()}.",
    ]
    return "\n".join(lines)


def write(text: str) -> None:
    """Put the table between the README's markers."""
    before, _, rest = README.read_text().partition(BEGIN)
    _, _, after = rest.partition(END)
    README.write_text(f"{before}{BEGIN}\n{text}\n{END}{after}")


def _lateness(results: Results) -> Iterator[tuple[str, list[float]]]:
    trials = len(results.lateness.ends)
    yield f"lateness of `warning` ({trials} deadlines)", results.lateness.warnings
    yield f"lateness of `expired` ({trials} deadlines)", results.lateness.ends


def _p99(values: Sequence[float]) -> float:
    return values[min(len(values) - 1, round(len(values) * 0.99))]


def _machine() -> str:
    libraries = ", ".join(f"{name} {version(name)}" for name in LIBRARIES)
    python = f"{platform.python_implementation()} {platform.python_version()}"
    return (
        f"{os.cpu_count()} cores, {platform.system()} {platform.machine()}, {python}, {libraries}"
    )
