"""What was found, as a table to read, charts to look at and JSON to compute with."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from benchmarks.compare import chart, figures

_BEGIN = "<!-- The table: written by `python -m benchmarks.compare{} --publish`. -->\n"
_END = "<!-- The end of the table{}. -->\n"


def write(results: dict[str, Any], directory: Path) -> str:
    """`results.json`, `table.md` and a chart of each row of the largest size; the table."""
    directory.mkdir(parents=True, exist_ok=True)
    (directory / "results.json").write_text(json.dumps(results, indent=1) + "\n")
    text = "\n".join(_table(results))
    (directory / "table.md").write_text(text)
    if results["sizes"]:
        for row in results["sizes"][-1]["rows"]:
            _write_chart(row, directory / f"{row['key']}.svg")
    return text


def publish(text: str, results: dict[str, Any], charts: Path, readme: Path, option: str) -> None:
    """The table and the charts, in the README between the two marks of a command's option."""
    begin, end = _BEGIN.format(option), _END.format(option)
    before, _, rest = readme.read_text().partition(begin)
    _, _, after = rest.partition(end)
    place = charts.relative_to(readme.parent)
    shown = [
        f"![{row['title']}]({place}/{row['key']}.svg)"
        for row in results["sizes"][-1]["rows"]
        if (charts / f"{row['key']}.svg").exists()
    ]
    body = "\n".join([text, *shown, ""])
    readme.write_text(f"{before}{begin}\n{body}\n{end}{after}")


def _write_chart(row: dict[str, Any], path: Path) -> None:
    is_open = row["calls_per_s"] is not None
    figure, unit = ("p99_ms", "p99, ms") if is_open else ("events_per_s", "events per second")
    values = {name: found[figure] for name, found in row["systems"].items() if figure in found}
    if values:
        path.write_text(chart.bars(row["title"], unit, values, figures.number))


def _table(results: dict[str, Any]) -> Iterator[str]:
    machine = results["machine"]
    yield (
        f"{machine['date']}, commit {machine['commit']}: {machine['cpus']} cores of "
        f"{machine['processor']}, {machine['memory_gb']:.0f} GB, {machine['system']}, "
        f"Python {machine['python']}, {machine['rustc']}. {results['settings']}"
    )
    for size in results["sizes"]:
        yield from _size(size)
    yield from _single(results)
    yield from figures.table(results)
    yield ""


def _size(size: dict[str, Any]) -> Iterator[str]:
    yield f"\n### {size['identifiers']:,} identifiers\n"
    yield "| what | system | per second | CPU s per 1,000 | p50 ms | p99 ms | generator |"
    yield "|---|---|---|---|---|---|---|"
    for row in size["rows"]:
        title = row["title"]
        if row["calls_per_s"] is not None:
            title += f": {row['calls_per_s']:,.0f} calls/s, open loop"
        for name, found in row["systems"].items():
            yield _line(title, name, found)
            title = ""
        for name, reason in row["missing"].items():
            yield f"| {title} | {name} | missing: {_cell(reason)} | | | | |"
            title = ""
    yield "\n| filled | identifiers | seconds | bytes per identifier | together | apart |"
    yield "|---|---|---|---|---|---|"
    for filled in size["filled"]:
        correct = filled["correct"]
        yield (
            f"| {filled['system']} | {filled['identifiers']:,} | {filled['seconds']:.1f} "
            f"| {filled['bytes_per_identifier']:.0f} | {correct['together']:.1%} "
            f"| {correct['apart']:.1%} |"
        )


def _line(title: str, name: str, found: dict[str, Any]) -> str:
    rate = f"{found['events_per_s']:,.0f}"
    for count, what in ((found["refused"], "refused"), (found["unanswered_calls"], "unanswered")):
        if count:
            rate += f" ({count:,.0f} {what})"
    cpu = found.get("server_cpu_s_per_1000_events")
    times = " | ".join(_milliseconds(found.get(name)) for name in ("p50_ms", "p99_ms"))
    generator = f"{found['generator_cpu_s'] / found['seconds']:.0%}"
    told = "" if cpu is None else f"{cpu:.4f}"
    return f"| {title} | {name} | {rate} | {told} | {times} | {generator} |"


def _milliseconds(value: float | None) -> str:
    return "" if value is None else f"{value:.2f}"


def _single(results: dict[str, Any]) -> Iterator[str]:
    yield "\n### Measured once\n"
    yield "| what | figure |"
    yield "|---|---|"
    for found in results["core"]:
        people = f"core, one thread, {found['identifiers']:,} identifiers"
        yield f"| {people}: steady events/s | {found['steady_events_per_second']:,.0f} |"
        yield f"| {people}: teaching events/s | {found['teaching_events_per_second']:,.0f} |"
        yield (
            f"| {people}: resident bytes per identifier "
            f"| {found['resident_bytes_per_identifier']:.1f} |"
        )
    for name, found in results["single"].items():
        told = ", ".join(f"{key} {_figure(value)}" for key, value in found.items())
        yield f"| {name} | {_cell(told)} |"


def _figure(value: object) -> str:
    return f"{value:,.1f}" if isinstance(value, float) else str(value)


def _cell(text: str) -> str:
    return " ".join(text.split()).replace("|", "/")
