"""`vdb models`, `vdb prompts`, `vdb metrics`: what there is to choose from."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pytest_vdb.cli.arguments import Command, Joined
from pytest_vdb.cli.printing import print_json, print_table, show, warn

if TYPE_CHECKING:
    from pytest_vdb.models.card import ModelCard
    from pytest_vdb.models.weights.parameter_counts import ParameterCount


def add_to(commands: Any) -> None:
    """Register the subcommands."""
    models = commands.add_parser("models", help="the models, or one of them in full")
    named = "names, globs, tag:TAG or all (default: %(default)s)"
    models.add_argument("names", nargs="*", action=Joined, default="all", metavar="MODEL", help=named)
    models.add_argument(
        "--check",
        action="store_true",
        help="count each model's parameters, without making any, and compare with its card; exit status 1 beyond 2%%",
    )
    models.set_defaults(command=Command(ModelsArguments, _list_models))
    prompts = commands.add_parser("prompts", help="the prompt suites, or the prompts of one")
    prompts.add_argument("suite", nargs="?", help="SUITE, SUITE:CATEGORY, SUITE:8 or a file")
    prompts.add_argument("--vbench", action="store_true", help="as VBench lists its prompts, in JSON")
    prompts.set_defaults(command=Command(PromptsArguments, _list_prompts))
    metrics = commands.add_parser("metrics", help="the metrics")
    named = "names, globs, default or all (default: %(default)s)"
    metrics.add_argument("names", nargs="*", action=Joined, default="all", metavar="METRIC", help=named)
    metrics.set_defaults(command=Command(MetricsArguments, _list_metrics))
    for listing in (models, prompts, metrics):
        listing.add_argument("--json", action="store_true", help="as JSON")


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelsArguments:
    """What `vdb models` was asked."""

    names: str
    check: bool
    json: bool


def _list_models(arguments: ModelsArguments) -> int:
    from pytest_vdb.models.registry import Registry

    registry = Registry.from_catalog()
    registry.add_entry_points()
    cards = registry.select(arguments.names)
    if arguments.check:
        return check_parameters(cards, as_json=arguments.json)
    if arguments.json:
        print_json([_plain_card(card) for card in cards])
    elif len(cards) == 1 and cards[0].name == arguments.names:
        show(_card_in_full(cards[0]))
    else:
        header = ("model", "tasks", "params B", "frames", "size", "download GB", "memory GiB", "licence")
        print_table(header, map(_card_row, cards))
        show(f"{len(cards)} models; `vdb models NAME` shows one in full")
    return 0


def check_parameters(cards: Sequence[ModelCard], *, as_json: bool) -> int:
    """Counted parameters beside the cards' own; 1 if any card is wrong."""
    from pytest_vdb.models.weights import parameter_counts

    counts = [parameter_counts.count(card) for card in cards if card.pipeline is not None]
    wrong = [count.model for count in counts if count.agrees is False]
    if as_json:
        print_json([asdict(count) | {"difference": count.difference, "agrees": count.agrees} for count in counts])
    else:
        header = ("model", "counted B", "card B", "difference", "published in")
        print_table(header, map(_count_row, counts))
        compared = sum(count.agrees is not None for count in counts)
        show(
            f"{compared} of {len(counts)} models can be compared (denoisers, all experts); {len(wrong)} differ by more "
            f"than {parameter_counts.TOLERANCE:.0%}{': ' if wrong else ''}{', '.join(wrong)}"
        )
    return 1 if wrong else 0


def _count_row(count: ParameterCount) -> tuple[object, ...]:
    return (
        count.model,
        None if count.counted is None else f"{count.counted:.3f}",
        None if count.card is None else f"{count.card:g}",
        None if count.difference is None else f"{count.difference:+.1%}" + ("" if count.agrees else " WRONG"),
        count.source,
    )


def _card_row(card: ModelCard) -> tuple[object, ...]:
    recipe = card.defaults
    return (
        card.name + (" (broken)" if card.broken else ""),
        ",".join(card.tasks),
        card.parameters,
        recipe.frames,
        f"{recipe.width}x{recipe.height}" if recipe.width and recipe.height else None,
        card.download_gb,
        card.minimum_memory_gib,
        card.licence if card.repository else None,
    )


def _plain_card(card: ModelCard) -> dict[str, Any]:
    plain = asdict(card)
    plain.update(frame_rule=card.frame_rule.text, defaults=card.defaults.settings(), tiny=card.tiny.settings())
    return plain


def _card_in_full(card: ModelCard) -> str:
    plain = {key: value for key, value in _plain_card(card).items() if value not in (None, "", (), [], {})}
    plain["revision"] = card.pinned if card.repository else None
    lines = [f"{key.replace('_', ' '):24} {_in_full(value)}" for key, value in plain.items() if value is not None]
    command = f"pytest benchmarks/ --vdb-models={card.name}"
    lines += ["", f"{'run it:':24} {command}"]
    if card.pipeline:
        lines.append(f"{'prove the wiring:':24} {command} --vdb-weights=tiny")
    return "\n".join(lines)


def _in_full(value: object) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{key}={item}" for key, item in value.items())
    return ", ".join(map(str, value)) if isinstance(value, tuple | list) else str(value)


@dataclass(frozen=True, slots=True, kw_only=True)
class PromptsArguments:
    """What `vdb prompts` was asked."""

    suite: str | None
    vbench: bool
    json: bool


def _list_prompts(arguments: PromptsArguments) -> int:
    from pytest_vdb.prompts import suites

    if arguments.suite is None:
        listed = [suites.load(name, root=Path.cwd()) for name in suites.suite_names()]
        _print_rows(
            ("suite", "version", "prompts", "digest"),
            [(suite.name, suite.version, len(suite.prompts), suite.digest()) for suite in listed],
            as_json=arguments.json,
        )
        return 0
    suite = suites.load(arguments.suite, root=Path.cwd())
    if absent := suites.absent_images(suite):
        warn(
            f"{arguments.suite}: {len(absent)} of its images are not there, e.g. {absent[0]}; those of VBench-I2V are "
            f"looked for beside the list and in {', '.join(suites.IMAGE_FOLDERS[1:])}"
        )
    if arguments.vbench:
        print_json(suites.vbench_entries(suite))
        return 0
    keys = ("id", "category", "text", *(("image",) if any(prompt.image for prompt in suite.prompts) else ()))
    _print_rows(keys, [[getattr(prompt, key) for key in keys] for prompt in suite.prompts], as_json=arguments.json)
    return 0


def _print_rows(keys: Sequence[str], rows: Sequence[Sequence[object]], *, as_json: bool) -> None:
    if as_json:
        print_json([dict(zip(keys, row, strict=True)) for row in rows])
    else:
        print_table(keys, rows)


@dataclass(frozen=True, slots=True, kw_only=True)
class MetricsArguments:
    """What `vdb metrics` was asked."""

    names: str
    json: bool


def _list_metrics(arguments: MetricsArguments) -> int:
    from pytest_vdb.metrics.registry import MetricRegistry

    metrics = MetricRegistry.builtin().select(arguments.names, where="vdb metrics")
    keys = ("metric", "better", "unit", "lowest", "highest", "needs", "version", "default", "what it measures")
    rows = [
        (m.name, m.better, m.unit, *m.bounds, ", ".join(m.backbones or m.inputs), m.version, m.default, m.summary)
        for m in metrics
    ]
    _print_rows(keys, rows, as_json=arguments.json)
    return 0
