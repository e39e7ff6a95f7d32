"""Two sides, metric by metric: which is better, by how much, and whether that may be chance."""

from __future__ import annotations

import os
import re
import textwrap
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, get_args
from urllib.parse import quote

from pytest_vdb.analysis.benchmarks import shown_names
from pytest_vdb.analysis.changes import Change, most_changed
from pytest_vdb.analysis.comparison import NULLS, Comparison, Contrast, Finding, Pairs, Side, Test
from pytest_vdb.escaping import lines, shortened, visible
from pytest_vdb.figures import MISSING, notation
from pytest_vdb.files import is_file
from pytest_vdb.records import Record, to_plain
from pytest_vdb.reporters.formats.markdown import code, plain, table_line
from pytest_vdb.reporters.grid import Side as Edge
from pytest_vdb.reporters.grid import fitted, grid, width_of
from pytest_vdb.reporters.pages import within
from pytest_vdb.reporters.text import ARROWS, LONGEST_NAME, counted
from pytest_vdb.results.vbench import UNKNOWN

HEADER = ("metric", "n", "A", "B", "A − B [95%]", "p", "A is")
HOLDS_ANYHOW = "†"
_MOST_NAMES = 8
_MOST_MODELS = 20
"""Of which an overview tells in what they changed."""
_USUAL_NAME, _SHORTEST_NAME = 24, 12
"""Characters."""
_HOW_TESTED: dict[Test, str] = {
    "mean difference": "the mean difference over prompts",
    "sign flips": "the same thing twice, so the signs of the prompts' differences are flipped",
}
_NAMED: frozenset[Finding] = frozenset({"better", "worse"})
_IN_WORDS: dict[Finding, str] = {
    "better": "better",
    "worse": "worse",
    "different": "different",
    "not told apart": "not told apart",
    "not tested": "not tested",
    "cannot compare": "cannot be compared",
}
assert set(_IN_WORDS) == set(get_args(Finding))


def render_terminal(comparison: Comparison, *, width: int = 100) -> str:
    """Who they are, a table per benchmark, what it comes to, and what must be said."""
    parts = ["\n".join(_wrapped_line(visible(line), width, indent=3) for line in lines_of_sides(comparison))]
    names = names_of_benchmarks(comparison)
    for pairs in comparison.benchmarks:
        if rows := _rows_of_benchmark(comparison, pairs):
            parts += [
                textwrap.fill(visible(heading_of_benchmark(pairs, names)), width),
                _table_of_contrasts(rows, width),
            ]
    parts.append(_wrapped_line(summary(comparison), width, indent=0))
    if notes := [*notes_of_comparison(comparison)]:
        parts.append("\n".join(_wrapped_line(f"  {visible(note)}", width, indent=4) for note in notes))
    return lines("\n\n".join(parts))


def render_markdown(comparison: Comparison, *, beside: Path | None = None) -> str:
    """The same as GitHub-flavoured Markdown, and the prompts that changed most.

    Args:
        comparison: what to show.
        beside: the folder that the page will lie in; clips are linked from there, if they are where they were recorded.
    """
    first, second = comparison.first, comparison.second
    first_label, second_label = (shortened(side.label, LONGEST_NAME) for side in (first, second))
    page = [f"# {code(first_label)} against {code(second_label)}", ""]
    page += [f"- {plain(' '.join(line.split()))}" for line in lines_of_sides(comparison)]
    names = names_of_benchmarks(comparison)
    for pairs in comparison.benchmarks:
        if rows := _rows_of_benchmark(comparison, pairs):
            page += [
                "",
                f"## {plain(heading_of_benchmark(pairs, names))}",
                "",
                table_line(HEADER),
                table_line((":--", *["--:"] * 5, ":--")),
            ]
            page += [
                table_line((code(shortened(name, LONGEST_NAME)), *figures, plain(finding)))
                for name, *figures, finding in rows
            ]
    page += ["", plain(summary(comparison)), ""]
    page += [f"- {plain(note.removeprefix(f'{MISSING} '))}" for note in notes_of_comparison(comparison)]
    page += _markdown_of_changes(comparison, beside)
    return "\n".join(page) + "\n"


def _markdown_of_changes(comparison: Comparison, beside: Path | None) -> list[str]:
    changes = most_changed(comparison)
    if not changes:
        return []
    lines = ["", "## Prompts that changed most", "", table_line(("prompt", "in", "A", "B", "A − B", "clips"))]
    lines.append(table_line((":--", ":--", "--:", "--:", "--:", ":--")))
    for change in changes:
        links = [
            f"[{name}]({link})"
            for name, side, record in zip("AB", (comparison.first, comparison.second), change.pair, strict=True)
            if (link := link_to_preview(side, record, beside)) is not None
        ]
        cells = (code(shortened(change.prompt, LONGEST_NAME)), code(shortened(change.metric, LONGEST_NAME)))
        lines.append(table_line((*cells, *figures_of_change(change), " ".join(links) or MISSING)))
    return lines


def figures_of_change(change: Change) -> tuple[str, str, str]:
    """A, B and A − B, written so that they differ."""
    written = notation((change.first, change.second), apart=[(change.first, change.second)]).write
    return written(change.first), written(change.second), _signed(written(change.difference))


def link_to_preview(side: Side, record: Record, beside: Path | None) -> str | None:
    """Relative URL of a record's clip; None where there is none, or it does not lie in its run's folder."""
    relative = None if record.clip is None or record.clip.preview is None else within(record.run, record.clip.preview)
    if relative is None or beside is None:
        return None
    try:
        folder = side.folder.resolve()
        file = (folder / relative).resolve()
        if not (file.is_relative_to(folder) and is_file(file)):
            return None
        path = Path(os.path.relpath(file, beside.resolve())).as_posix()
    except (OSError, ValueError, RuntimeError):  # a name that no system has, another drive, a link to itself
        return None
    return "/".join(quote(part, safe=".") if part != ".." else part for part in path.split("/"))


def for_programs(comparison: Comparison) -> dict[str, Any]:
    """The same as what JSON is made of."""
    return {
        "a": _side_for_programs(comparison.first),
        "b": _side_for_programs(comparison.second),
        "summary": summary(comparison),
        "benchmarks": [
            {
                "benchmark": pairs.benchmark,
                "prompts": pairs.prompts,
                "pairs": len(pairs.pairs),
                "left_out": dict(pairs.left_out),
            }
            for pairs in comparison.benchmarks
        ],
        "metrics": [to_plain(one) for one in comparison.contrasts],
        "changed_most": [
            {
                "prompt": change.prompt,
                "metric": change.metric,
                "a": change.first,
                "b": change.second,
                "difference": change.difference,
                "times_usual": change.times_usual,
            }
            for change in most_changed(comparison)
        ],
        "remarks": list(comparison.remarks),
        "swaps": {"most": comparison.permutations, "seed": comparison.seed},
    }


def _side_for_programs(side: Side) -> dict[str, Any]:
    environment = side.run.environment
    return {
        "model": side.model,
        "run": side.run.id,
        "published": side.published,
        "started_at": side.run.started_at,
        "commit": environment.git_commit,
        "hardware": environment.hardware,
    }


def summary(comparison: Comparison) -> str:
    """`A (wan) is better in sharpness, latency; worse in nothing; 3 not told apart.`"""
    by_finding = _metrics_by_finding(comparison)
    better, worse = (_names_of_metrics_in(by_finding[finding]) for finding in ("better", "worse"))
    others = [f"{len(by_finding[f])} {words}" for f, words in _IN_WORDS.items() if f not in _NAMED and by_finding[f]]
    parts = [f"A ({comparison.first.label}) is better in {better}; worse in {worse}", ", ".join(others)]
    return visible(f"{'; '.join(filter(None, parts))}.")


def _metrics_by_finding(comparison: Comparison) -> dict[Finding, list[str]]:
    found: dict[Finding, list[str]] = {finding: [] for finding in _IN_WORDS}
    for one in comparison.contrasts:
        found[one.finding].append(one.metric)
    return found


@dataclass(frozen=True, slots=True)
class Headline:
    """What a comparison comes to, for who has many of them."""

    model: str
    better: list[str]
    worse: list[str]
    """Metrics in which A is."""

    @classmethod
    def of(cls, comparison: Comparison) -> Headline:
        """Of one comparison."""
        found = _metrics_by_finding(comparison)
        return cls(comparison.first.model, found["better"], found["worse"])


def overview(headlines: Sequence[Headline], *, width: int = 100) -> str:
    """Which of several models to look at, those that are worse first; empty for fewer than two.

    Each is judged for itself, so of many in which nothing changed some are named.
    """
    if len(headlines) < 2:
        return ""
    named = sorted((one for one in headlines if one.better or one.worse), key=lambda one: -len(one.worse))
    better, worse = sum(bool(one.better) for one in named), sum(bool(one.worse) for one in named)
    neither = len(headlines) - len(named)
    told = [f"Of {len(headlines)} models A is better in {better}, worse in {worse} and neither in {neither}."]
    told += [f"  {visible(one.model)}: {_named_in_words(one)}" for one in named[:_MOST_MODELS]]
    if len(named) > _MOST_MODELS:
        told.append(f"  and {len(named) - _MOST_MODELS} more")
    if named:
        told.append("  Each is judged for itself: of twenty models that did not change about one is named by chance.")
    return lines("\n".join(_wrapped_line(line, width, indent=4) for line in told))


def _named_in_words(one: Headline) -> str:
    sides = (("worse", one.worse), ("better", one.better))
    return visible("; ".join(f"{word} in {_names_of_metrics_in(metrics)}" for word, metrics in sides if metrics))


def _names_of_metrics_in(metrics: list[str]) -> str:
    more = f" and {len(metrics) - _MOST_NAMES} more" if len(metrics) > _MOST_NAMES else ""
    return ", ".join(metrics[:_MOST_NAMES]) + more if metrics else "nothing"


def names_of_benchmarks(comparison: Comparison) -> Mapping[str, str]:
    """What the benchmarks are called."""
    return shown_names(pairs.benchmark for pairs in comparison.benchmarks)


def lines_of_sides(comparison: Comparison) -> list[str]:
    """Who A and B are, and where they ran."""
    first, second = comparison.first, comparison.second
    if comparison.same_model:
        sides = [f"A  {_session(first)}", f"B  {_session(second)}", f"   both {first.model}"]
    else:
        size = max(len(first.label), len(second.label))
        again = "the same run" if first.run.id == second.run.id else _session(second)
        sides = [f"A  {first.label:{size}}  {_session(first)}", f"B  {second.label:{size}}  {again}"]
    on = first.run.environment.hardware
    known = on == second.run.environment.hardware and on != UNKNOWN
    return [*sides, f"   on {on}"] if known else sides


def _session(side: Side) -> str:
    if side.published is not None:
        return f"as published in {side.published}"
    environment = side.run.environment
    parts = [f"run {side.run.id}", f"of {side.run.started_at[:16].replace('T', ' ')}" if side.run.started_at else ""]
    line = " ".join(filter(None, parts))
    if environment.git_commit:
        line += f", commit {environment.git_commit[:7]}{' with changes' if environment.git_dirty else ''}"
    return line


def heading_of_benchmark(pairs: Pairs, names: Mapping[str, str]) -> str:
    """`test_generation: 8 prompts, 8 pairs of clips; 2 samples left out (2 only in A)`."""
    line = f"{names[pairs.benchmark]}: {counted(pairs.prompts, 'prompt')}, {counted(len(pairs.pairs), 'pair')} of clips"
    if pairs.left_out:
        out = sum(n for _, n in pairs.left_out)
        line += f"; {counted(out, 'sample')} left out ({', '.join(f'{n} {why}' for why, n in pairs.left_out)})"
    return line


def _rows_of_benchmark(comparison: Comparison, pairs: Pairs) -> list[tuple[str, ...]]:
    return [row_of_contrast(one) for one in comparison.contrasts if one.benchmark == pairs.benchmark]


def row_of_contrast(one: Contrast) -> tuple[str, ...]:
    """One metric's cells under `HEADER`."""
    unit = "" if one.unit in {"", "1", one.metric} else one.unit
    name = " ".join(filter(None, (one.metric, unit, ARROWS[one.better])))
    values = (one.first, one.second)
    written = notation(values, apart=[values]).write
    n = f"{one.n}" if one.n else MISSING
    difference, p = _difference_in_words(one), _p_in_words(one.p if one.adjusted is None else one.adjusted)
    if one.obstacle is not None:
        difference, p = (text if text == MISSING else f"({text})" for text in (difference, p))
    finding = f"{one.finding} {HOLDS_ANYHOW}" if one.surely else one.finding
    return name, n, written(one.first), written(one.second), difference, p, finding


def _difference_in_words(one: Contrast) -> str:
    """`+0.067 [0.055, 0.080]`: to the second digit of what is not known."""
    if one.difference is None:
        return MISSING
    half = None if one.interval is None else (one.interval[1] - one.interval[0]) / 2
    written = notation([half], significant=2) if half else notation([one.difference])
    signed = _signed(written.write(one.difference))
    return signed if one.interval is None else f"{signed} [{', '.join(map(written.write, one.interval))}]"


def _signed(text: str) -> str:
    return text if text.startswith("-") or not text.strip("0.,e") else f"+{text}"


def _p_in_words(p: float | None) -> str:
    return MISSING if p is None else "<0.001" if p < 0.001 else f"{p:.3f}"


def notes_of_comparison(comparison: Comparison) -> Iterator[str]:
    """How the figures came about, why some are missing, and what else to know."""
    judged = [one for one in comparison.contrasts if one.adjusted is not None]
    if judged:
        metrics = counted(len(judged), "judged metric")
        yield f"p: two-sided, corrected over the {metrics} (Benjamini-Hochberg); told apart below 0.05"
    for test, how in _HOW_TESTED.items():
        if any(one.test == test and not one.of_set for one in comparison.contrasts):
            yield f'clip metrics and costs: {how}; p is of "{NULLS[test]}"'
    if any(one.interval is not None for one in comparison.contrasts):
        yield "[ ] is the 95% interval of that metric alone"
    if any(one.test == "mean difference" for one in comparison.contrasts):
        yield (
            "failures that are too rare to be seen in so many prompts are not allowed for"
            f"{f'; {HOLDS_ANYHOW} holds even then' if any(one.surely for one in comparison.contrasts) else ''}"
        )
    if swaps := {one.permutations for one in comparison.contrasts if one.permutations is not None}:
        most = max(swaps)
        how = "random" if most >= comparison.permutations else "all there are"
        yield (
            f"set metrics: the clips of a prompt swapped between A and B, {counted(most, 'swap')} ({how}), "
            f'seed {comparison.seed}; p is of "{NULLS["swaps"]}"; n is clips on each side; [ ] from the jackknife of '
            "both, as if they shared nothing"
        )
    if any(one.obstacle is not None and one.difference is not None for one in comparison.contrasts):
        yield "( ) shown, not judged"
    reasons: dict[str, list[str]] = {}
    for one in comparison.contrasts:
        for reason in filter(None, (one.obstacle, *one.remarks)):
            reasons.setdefault(reason, []).append(one.metric)
    for reason, metrics_named in reasons.items():
        yield f"{MISSING} {', '.join(dict.fromkeys(metrics_named))}: {reason}"
    yield from comparison.remarks


def _table_of_contrasts(rows: list[tuple[str, ...]], width: int) -> str:
    """Where it is narrow, long names are cut; where it is very narrow, intervals are left to the other formats."""
    shown = [HEADER, *(tuple(visible(cell) for cell in row) for row in rows)]
    if width - _width_of_figures(shown) < _USUAL_NAME:
        shown = [tuple(re.sub(r" \[[^\]]*\]", "", cell) for cell in row) for row in shown]
    most = max(_SHORTEST_NAME, width - _width_of_figures(shown))
    shown = [(fitted(name, most), *others) for name, *others in shown]
    sides: list[Edge] = ["left", "right", "right", "right", "right", "right", "left"]
    return grid(shown, sides, rule_after=1)


def _width_of_figures(rows: list[tuple[str, ...]]) -> int:
    return sum(max(map(width_of, column)) + 2 for column in list(zip(*rows, strict=True))[1:])


def _wrapped_line(text: str, width: int, *, indent: int) -> str:
    return textwrap.fill(text, width, subsequent_indent=" " * indent, break_on_hyphens=False)
