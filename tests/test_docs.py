"""The docs know all that a user can name: metrics, flags, recipe settings, commands; and nothing that is gone."""

from __future__ import annotations

import argparse
import dataclasses
import importlib
import pkgutil
import re
from collections import Counter
from pathlib import Path

import pytest

import pytest_vdb
from pytest_vdb import profiling
from pytest_vdb.backbones.registry import BackboneRegistry
from pytest_vdb.cli import _parser
from pytest_vdb.cluster.engines.registry import engines
from pytest_vdb.cluster.manifest import PodSettings
from pytest_vdb.exports.targets import targets
from pytest_vdb.metrics.registry import MetricRegistry
from pytest_vdb.models.pipelines import quirks
from pytest_vdb.models.registry import Registry
from pytest_vdb.options import FLAGS
from pytest_vdb.presets import PRESETS
from pytest_vdb.profiling.probe import Reading
from pytest_vdb.records import Recipe
from pytest_vdb.reporters import formats

DOCS = Path(__file__).parent.parent / "docs"
README = DOCS.parent / "README.md"
CARDS = [card for card in Registry.from_catalog().select("all") if card.pipeline is not None]
METRICS = {spec.name: spec for spec in MetricRegistry.builtin()}


def page(name: str) -> str:
    return (DOCS / f"{name}.md").read_text(encoding="utf-8")


def rows(name: str, columns: int) -> dict[str, list[str]]:
    """The rows of a page's tables of so many columns, by the name in backticks that each begins with."""
    found = {}
    for line in page(name).splitlines():
        cells = [cell.strip() for cell in line.strip().strip("|").split("|")]
        if line.startswith("| `") and len(cells) == columns:
            found[cells[0].strip("`")] = cells
    return found


@pytest.mark.parametrize("name", METRICS)
def test_every_metric_has_its_row_with_unit_and_direction(name):
    spec, row = METRICS[name], rows("metrics", 7).get(name)
    assert row is not None, f"docs/metrics.md has no row for {name}"
    assert row[2:5] == [spec.unit, spec.better, _bounds_in_words(*spec.bounds)]
    for backbone in spec.backbones:
        assert f"`{backbone}`" in row[5], f"{name} looks through {backbone}"


def _bounds_in_words(low: float | None, high: float | None) -> str:
    """As the column of values has it."""
    if low is not None and high is not None:
        return f"{low:g} to {high:g}"
    return "–" if low is None and high is None else f"to {high:g}" if low is None else f"from {low:g}"


def test_a_metrics_row_names_only_networks_that_there_are():
    for name, row in rows("metrics", 7).items():
        named = set(re.findall(r"`(\w+)`", row[5])) - {"vbench"}
        assert named <= set(BackboneRegistry.builtin().names()), name


@pytest.mark.parametrize("network", list(BackboneRegistry.builtin()), ids=lambda network: network.name)
def test_every_network_has_its_row_with_features_and_licence(network):
    row = rows("metrics", 5).get(network.name)
    assert row is not None, f"docs/metrics.md has no row for the network {network.name}"
    gives = ", ".join(f"`{feature.name}`" for feature in network.features)
    assert row[1:] == [network.about, gives, f"{network.size_mib:g}", network.licence]


def readings() -> dict[str, Reading]:
    """Every reading that a module of the profiler declares, by itself or among others."""
    found: dict[str, Reading] = {}
    for module in pkgutil.iter_modules(profiling.__path__):
        for value in vars(importlib.import_module(f"{profiling.__name__}.{module.name}")).values():
            several = value.values() if isinstance(value, dict) else value if isinstance(value, tuple) else [value]
            found.update({one.name: one for one in several if isinstance(one, Reading)})
    return found


@pytest.mark.parametrize("name", readings())
def test_every_reading_has_its_row_in_its_own_words(name):
    one = readings()[name]
    assert one.how, f"{name}: say how it is read"
    row = rows("readings", 6).get(name)
    words = [f"`{name}`", one.unit, one.better, one.window, one.how, one.misses]
    assert row == words, f"docs/readings.md needs the row\n| {' | '.join(words)} |"


def test_the_page_of_readings_has_none_that_is_gone():
    assert rows("readings", 6).keys() == readings().keys()


@pytest.mark.parametrize("flag", [flag.flag for flag in FLAGS])
def test_every_flag_is_in_the_table_of_options(flag):
    (known,) = (one for one in FLAGS if one.flag == flag)
    line = next((line for line in page("options").splitlines() if re.match(rf"\| `{flag}[ `]", line)), None)
    assert line is not None, f"docs/options.md has no row for {flag}"
    assert f"`{known.ini}`" in line


def test_the_table_of_options_has_no_flag_that_is_gone():
    assert set(re.findall(r"^\| `(--vdb-[\w-]+)[ `]", page("options"), re.MULTILINE)) == {flag.flag for flag in FLAGS}


@pytest.mark.parametrize("setting", [field.name for field in dataclasses.fields(Recipe)])
def test_every_recipe_setting_is_documented(setting):
    named = re.findall(r"`(\w+)`", " ".join(re.findall(r"^\| (`[^|]*) \|", page("recipes"), re.MULTILINE)))
    assert setting in named, f"docs/recipes.md has no row for {setting}"


def test_how_each_class_is_asked_for_a_batch_is_in_its_row():
    ways = (
        "a list of prompts, and of the",
        "a list of prompts, and one image",
        "one prompt and the number",
        "not at all",
    )
    told = {
        way: set(re.findall(r"`(\w+)`", line)) for way in ways for line in page("recipes").splitlines() if way in line
    }
    known: dict[str, set[str]] = {way: set() for way in ways}
    for card in CARDS:
        batching = quirks.batching_of(str(card.pipeline), card.task)
        at = 3 if batching.fails else ("each", "once", "counted").index(batching.way)
        known[ways[at]].add(str(card.pipeline))
    assert told == known


def test_every_preset_has_its_row_with_settings_and_source():
    told = {name: (row[1].strip("`").split(), row[2]) for name, row in rows("recipes", 3).items()}
    assert told == {name: ([*preset.settings], preset.source) for name, preset in PRESETS.items()}


def commands() -> list[str]:
    (subcommands,) = (action for action in _parser()._actions if isinstance(action, argparse._SubParsersAction))
    return list(subcommands.choices)


def test_every_command_is_documented_and_none_that_is_gone():
    documented = re.findall(r"^\| `vdb (\w+)", page("cli"), re.MULTILINE)
    assert sorted(documented) == sorted(commands())


@pytest.mark.parametrize("command", commands())
def test_every_command_says_what_it_does(command, capsys):
    if command in {"run", "plan"}:
        pytest.skip("everything behind it is pytest's, also --help")
    with pytest.raises(SystemExit):
        _parser().parse_args([command, "--help"])
    assert "usage: vdb" in capsys.readouterr().out


@pytest.mark.parametrize("path", [README, DOCS / "models.md"], ids=lambda path: path.stem)
def test_the_number_of_models_and_classes_is_the_catalogues(path):
    (said,) = re.findall(r"(\d+) models of (\d+) pipeline classes", path.read_text(encoding="utf-8"))
    assert said == (str(len(CARDS)), str(len({card.pipeline for card in CARDS})))


def test_the_changelog_counts_the_cards():
    changelog = (DOCS.parent / "CHANGELOG.md").read_text(encoding="utf-8")
    assert re.findall(r"(\d+) cards", changelog) == [str(len(CARDS))]


def test_models_that_run_lists_every_class_with_its_models_or_why_it_has_none():
    models = Counter(card.pipeline for card in CARDS)
    broken = {card.pipeline for card in CARDS if card.broken}
    text = page("models-that-run")
    assert {name: row[1] for name, row in rows("models-that-run", 6).items()} == {
        name: str(number) for name, number in models.items() if name not in broken
    }
    assert f"{len(models) - len(broken)} of {len(models)} pipeline classes" in text
    for heading, names in (("Do not run", broken), ("Have no card", set(quirks.without_card()))):
        section = text.partition(f"## {heading}\n")[2].partition("\n## ")[0]
        assert set(re.findall(r"^- `(\w+)`", section, re.MULTILINE)) == names


@pytest.mark.parametrize(
    "path", [README, README.parent / "CONTRIBUTING.md", *sorted(DOCS.rglob("*.md"))], ids=lambda path: path.stem
)
def test_links_between_pages_lead_somewhere(path):
    for target in re.findall(r"\]\(([\w./-]+\.md)", path.read_text(encoding="utf-8")):
        assert (path.parent / target).is_file(), f"{path.name} links to {target}"


@pytest.mark.parametrize("name", pytest_vdb.__all__)
def test_every_public_name_is_on_the_page_of_the_api(name):
    assert re.search(rf"^::: pytest_vdb\.[\w.]+\.{name}$", page("api"), re.MULTILINE), f"docs/api.md lacks {name}"


@pytest.mark.parametrize("target", targets().values(), ids=lambda target: target.name)
def test_every_export_has_its_row_with_place_and_extra(target):
    row = rows("exports", 5).get(target.name)
    assert row is not None, f"docs/exports.md has no row for {target.name}"
    assert row[1:4] == [target.place, f"`{target.default}`", "–" if target.extra is None else f"`{target.extra}`"]


def test_the_table_of_exports_has_none_that_is_gone():
    assert set(rows("exports", 5)) == set(targets())


def test_every_engine_has_its_row_with_its_extra():
    told = {name: row[-1] for name, row in rows("cluster", 3).items()}
    for engine in engines().values():
        assert engine.name in told, f"docs/cluster.md has no row for {engine.name}"
        assert engine.extra is None or f"pytest-vdb[{engine.extra}]" in told[engine.name]


@pytest.mark.parametrize("setting", [field.name for field in dataclasses.fields(PodSettings)])
def test_every_setting_of_kubernetes_has_its_row(setting):
    section = page("cluster").partition("### Kubernetes\n")[2].partition("\n### ")[0]
    named = re.findall(r"`(\w+)`", " ".join(re.findall(r"^\| (`[^|]*) \|", section, re.MULTILINE)))
    assert setting in named, f"docs/cluster.md has no row for {setting}"


def test_every_report_format_is_in_the_table_of_options():
    (row,) = (line for line in page("options").splitlines() if line.startswith("| `--vdb-report "))
    assert set(re.findall(r"`(\w+)`", row.split("|")[4])) >= {*formats.formats(), formats.ALL, formats.NONE}


STATISTICS = sorted(path.name for path in Path(pytest_vdb.__file__).parent.glob("statistics/[a-z]*.py"))


@pytest.mark.parametrize("file", STATISTICS)
def test_every_file_of_statistics_answers_a_question_on_their_page(file):
    assert re.search(rf"^\| .*`{file}`", page("statistics"), re.MULTILINE), f"docs/statistics.md has no row for {file}"
