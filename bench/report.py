"""From measurements to targets met or missed, and to the table in the README."""

import os
import platform
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path
from statistics import median

from .measures import Lateness, Load
from .redis_cost import CLIENTS, TYPED, RedisCost
from .scale import Scale
from .server import PROGRAMS

README = Path(__file__).parent / "README.md"
BEGIN, END = "<!-- table: begin -->", "<!-- table: end -->"
LIBRARIES = (
    "Django",
    "channels",
    "daphne",
    "Twisted",
    "autobahn",
    "msgspec",
    "redis",
    "hiredis",
    "uvicorn",
    "websockets",
)
P99_LATENESS = 0.250
REDIS_PER_MESSAGE = 1e-6
TWO_TO_ONE = 1.7


@dataclass(slots=True)
class Results:
    """What was measured in one run."""

    ours: Load = field(default_factory=Load)
    stock: Load = field(default_factory=Load)
    lateness: Lateness | None = None
    queries: int | None = None
    redis: RedisCost | None = None
    scale: Scale | None = None


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
        return _cell(self.samples(load), self.factor, self.digits)


FIGURES = (
    Figure("memory per idle tab, KiB", lambda x: x.tab_memory, 1 / 1024, 1, at_most=0.75),
    Figure("connects per second", lambda x: x.connects, 1, 0, at_least=1.5),
    Figure("server CPU per connect, ms", lambda x: x.connect_cpu, 1e3, 1),
    Figure("`activity` messages per second", lambda x: x.messages, 1, 0, at_least=1.5),
    Figure("server CPU per message, ms", lambda x: x.message_cpu, 1e3, 2),
    *(
        figure
        for program in PROGRAMS
        for figure in (
            Figure(
                f"nudge storm under {program}: all tabs heard after, s",
                lambda x, program=program: x.storm[program],
                1,
                2,
                at_most=0.2,
            ),
            Figure(
                "server CPU per tab in that storm, ms",
                lambda x, program=program: x.storm_cpu[program],
                1e3,
                2,
            ),
        )
    ),
)


def missed(results: Results) -> list[str]:
    """Return the targets that were missed."""
    found = [
        f"{figure.name}: {ratio:.2f} of stock, target {figure.target}"
        for figure in _figures(results)
        if not figure.is_met(ratio := figure.ratio(results))
    ]
    for name, values in _lateness(results):
        if _p99(values) >= P99_LATENESS:
            found.append(f"{name}: p99 {_p99(values) * 1e3:.0f} ms, target < 250 ms")
    if results.queries:
        found.append(f"queries of a second request: {results.queries}, target 0")
    if results.redis and (cost := median(results.redis.per_message)) >= REDIS_PER_MESSAGE:
        found.append(f"Redis CPU per message: {cost * 1e6:.2f} µs, target < 1 µs")
    if results.scale and results.scale.by_cpu < TWO_TO_ONE:
        found.append(f"two processes by CPU: {results.scale.by_cpu:.2f}, target ≥ {TWO_TO_ONE}")
    return found


def table(results: Results, tabs: int) -> str:
    """Return the results as Markdown: the parts that were measured."""
    parts = [_side_by_side(results, tabs), _alone(results)]
    if results.queries is not None:
        parts.append(
            [f"Queries of a request within the look window: {results.queries} (target 0)."]
        )
    parts += [_redis(results.redis), _scale(results.scale), [f"On {_machine()}."]]
    return "\n\n".join("\n".join(lines) for lines in parts if lines)


def _side_by_side(results: Results, tabs: int) -> list[str]:
    lines = []
    for figure in _figures(results):
        ours, stock = figure.cell(results.ours), figure.cell(results.stock)
        ratio = f"{figure.ratio(results):.2f}"
        lines.append(f"| {figure.name} | {ours} | {stock} | {ratio} | {figure.target} |")
    heading = [
        f"At {tabs:,} idle tabs, one session each; medians (lowest to highest) of short turns.",
        "",
        "| | ours | stock | ours ÷ stock | target |",
        "| --- | --- | --- | --- | --- |",
    ]
    return [*heading, *lines] if lines else []


def _alone(results: Results) -> list[str]:
    lines = []
    for name, values in _lateness(results):
        p50, p99, highest = (f"{v * 1e3:.1f}" for v in (median(values), _p99(values), values[-1]))
        target = f"p99 < {P99_LATENESS * 1e3:.0f}"
        lines.append(f"| {name}, ms | {p50} | {p99} | {highest} | {target} |")
    heading = ["| ours alone | p50 | p99 | highest | target |", "| --- | --- | --- | --- | --- |"]
    return [*heading, *lines] if lines else []


def _redis(cost: RedisCost | None) -> list[str]:
    if cost is None:
        return []
    lines = [
        "| CPU time of Redis, µs | | target |",
        "| --- | --- | --- |",
        f"| for each `activity`, {TYPED} to a write | {_cell(cost.per_message, 1e6, 2)} | < 1 |",
        f"| for each session, 1 in a write, {CLIENTS} clients | {_cell(cost.busy, 1e6, 1)} | |",
    ]
    lines += [
        f"| for each session, {size} in a write, one client | {_cell(samples, 1e6, 1)} | |"
        for size, samples in cost.alone.items()
    ]
    return lines


def _scale(scale: Scale | None) -> list[str]:
    if scale is None:
        return []
    both = scale.one, scale.two
    rates = " | ".join(_cell(each.rate, 1, 0) for each in both)
    cpu = " | ".join(_cell(each.servers, 1e3, 3) for each in both)
    used = scale.two.used
    busy, cores = sum(used.values()), os.cpu_count() or 1
    shares = ", ".join(f"{name} {share:.2f}" for name, share in used.items())
    limit = (
        f"What limited the two by the clock: {busy:.2f} of {cores} cores were busy ({shares}),"
        f" so it was {'the cores' if busy > 0.9 * cores else 'not the cores'}. All of them, for"
        f" servers, Redis and browsers alike, are good for {scale.at_most(cores):.2f} times one process."
    )
    return [
        "| `activity` on one Redis | one process | two processes | times as many | target |",
        "| --- | --- | --- | --- | --- |",
        f"| messages per second, by the clock | {rates} | {scale.by_clock:.2f} | |",
        f"| servers' CPU per message, ms | {cpu} | {scale.by_cpu:.2f} | ≥ {TWO_TO_ONE} |",
        "",
        limit,
    ]


def write(text: str) -> None:
    """Put the table between the README's markers."""
    before, _, rest = README.read_text().partition(BEGIN)
    _, _, after = rest.partition(END)
    README.write_text(f"{before}{BEGIN}\n{text}\n{END}{after}")


def _figures(results: Results) -> list[Figure]:
    return [figure for figure in FIGURES if figure.samples(results.ours)]


def _cell(samples: Sequence[float], factor: float, digits: int) -> str:
    values = sorted(value * factor for value in samples)
    middle, low, high = (f"{v:,.{digits}f}" for v in (median(values), values[0], values[-1]))
    return middle if len(values) == 1 else f"{middle} ({low} to {high})"


def _lateness(results: Results) -> Iterator[tuple[str, list[float]]]:
    if results.lateness is None:
        return
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
