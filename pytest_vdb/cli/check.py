"""`vdb check`: whether a model does what any model must, as a report that its author can attach to a submission."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pytest_vdb import __version__, files
from pytest_vdb.cli.arguments import Command, Joined
from pytest_vdb.cli.printing import print_json, print_table, show, warn
from pytest_vdb.cli.session import SessionArguments, add_model_arguments, session_of
from pytest_vdb.files import expanded

if TYPE_CHECKING:
    from pytest_vdb.bench.conforming import Examined
    from pytest_vdb.models.card import ModelCard
    from pytest_vdb.models.conformance import Finding
    from pytest_vdb.records import Environment, Recipe


def add_to(commands: Any) -> None:
    """Register the subcommand."""
    check = commands.add_parser(
        "check",
        help="whether a model does what any model must: shapes, seeds, prompts, frame counts, memory",
        formatter_class=argparse.RawDescriptionHelpFormatter,
        epilog="examples:\n"
        "  vdb check wan2.1-t2v-1.3b                               its wiring, with tiny weights\n"
        "  vdb check wan2.1-t2v-1.3b --weights hub --output report.md\n"
        "  vdb check my-model --from conftest.py --output report.md\n"
        "  vdb check 'ltx*' --json\n\n"
        "A model generates six clips. The exit status is 1 if any check failed.",
    )
    check.add_argument("models", nargs="+", action=Joined, metavar="MODEL", help="names, globs, tag:TAG or all")
    tagged = "a Python file or module that tags models with @model; repeatable"
    check.add_argument("--from", dest="sources", action="append", default=[], metavar="FILE", help=tagged)
    add_model_arguments(check)
    check.add_argument("--output", "-o", type=expanded, metavar="FILE", help="write the report there, as Markdown")
    check.add_argument("--json", action="store_true", help="print JSON instead of tables")
    check.set_defaults(command=Command(CheckArguments, _check_models))


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """One model's findings, and everything that they depend on."""

    model: str
    where: str | None
    """Its repository, or the object that was tagged."""
    revision: str | None
    """Commit of the weights that were loaded; else the card's, said to be so."""
    weights: str | None
    recipe: dict[str, Any]
    findings: tuple[Finding, ...]

    @property
    def passed(self) -> bool:
        """Whether no check failed."""
        return all(finding.outcome != "failed" for finding in self.findings)


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckArguments:
    """What `vdb check` was asked."""

    session: SessionArguments
    output: Path | None
    json: bool


def _check_models(arguments: CheckArguments) -> int:
    from pytest_vdb.bench.conforming import examined

    session = session_of(arguments.session)
    cards = session.models
    for card in cards:
        session.recipe(card)  # refuses before any loading
    machine = session.environment
    if arguments.output is not None:
        files.check_writable(arguments.output)  # before all generations
    reports: list[Report] = []
    try:
        for card in cards:
            reports.append(_report_of(card, session.recipe(card), examined(session, card)))
            if not arguments.json:
                _print_report(reports[-1])
    except KeyboardInterrupt as stop:
        _hand_over(reports, machine, arguments)
        stop.add_note(f"{len(reports)} of {len(cards)} models were examined")
        raise
    _hand_over(reports, machine, arguments)
    return 0 if all(report.passed for report in reports) else 1


def _hand_over(reports: Sequence[Report], machine: Environment, arguments: CheckArguments) -> None:
    """As JSON and as Markdown, where these are asked for."""
    if arguments.json:
        print_json({"environment": asdict(machine), "reports": [_report_for_programs(report) for report in reports]})
    if arguments.output is not None:
        files.write(arguments.output, _markdown(reports, machine))
        warn(f"report: {arguments.output}")


def _report_of(card: ModelCard, recipe: Recipe, examined: Examined) -> Report:
    return Report(
        model=card.name,
        where=card.repository or card.where,
        revision=examined.revision or (f"{card.pinned} (its weights were not loaded)" if card.repository else None),
        weights=recipe.weights,
        recipe=recipe.settings(),
        findings=examined.findings,
    )


_SIGNS = {"passed": "passed", "failed": "FAILED", "not_applicable": "not applicable"}


def _rows_of_findings(report: Report) -> list[tuple[str, str, str]]:
    return [(finding.check, _SIGNS[finding.outcome], finding.detail) for finding in report.findings]


def _print_report(report: Report) -> None:
    revision = f", revision {report.revision}" if report.revision else ""
    show(f"{report.model} ({report.weights} weights{revision})")
    print_table(("check", "outcome", "what was found"), _rows_of_findings(report))
    show()


def _report_for_programs(report: Report) -> dict[str, Any]:
    return asdict(report) | {"passed": report.passed}


def _markdown(reports: Sequence[Report], machine: Environment) -> str:
    """The report that goes with a submission."""
    from pytest_vdb.models.conformance import CHECKS

    lines = ["# Conformance report", ""]
    for report in reports:
        failed = sum(finding.outcome == "failed" for finding in report.findings)
        lines += [
            f"## {_escaped(report.model)}: {f'{failed} failed' if failed else 'passed'}",
            "",
            "| | |",
            "|---|---|",
        ]
        lines += [f"| {name} | {_escaped(value)} |" for name, value in _facts_of_model(report)]
        lines += ["", "| check | asks that | outcome | what was found |", "|---|---|---|---|"]
        lines += [
            f"| {check} | {CHECKS.get(check, 'the model loads')} | {outcome} | {_escaped(detail)} |"
            for check, outcome, detail in _rows_of_findings(report)
        ]
        lines.append("")
    lines += ["## Environment", "", "| | |", "|---|---|"]
    lines += [f"| {name} | {_escaped(value)} |" for name, value in _facts_of_machine(machine)]
    return "\n".join(lines) + "\n"


def _facts_of_model(report: Report) -> list[tuple[str, str]]:
    recipe = ", ".join(f"{key}={value}" for key, value in report.recipe.items())
    facts = (
        ("from", report.where),
        ("revision", report.revision),
        ("weights", report.weights),
        ("recipe", recipe),
    )
    return [(name, value) for name, value in facts if value]


def _facts_of_machine(machine: Environment) -> list[tuple[str, str]]:
    commit = machine.git_commit and machine.git_commit + (" with changes" if machine.git_dirty else "")
    facts = (
        ("date", f"{datetime.now(UTC):%Y-%m-%d %H:%M} UTC"),
        ("pytest-vdb", __version__),
        ("hardware", machine.hardware),
        ("platform", machine.platform),
        ("python", machine.python),
        ("driver", machine.driver),
        ("packages", ", ".join(f"{name} {version}" for name, version in machine.packages.items())),
        ("commit of the working folder", commit),
    )
    return [(name, value) for name, value in facts if value]


def _escaped(text: str) -> str:
    """Inside a Markdown table."""
    return text.replace("\\", "\\\\").replace("|", "\\|").replace("<", "&lt;").replace("\n", " ")
