"""`vdb estimate`: does it fit, how long will it take, what will it cost, before anything is downloaded."""

from __future__ import annotations

import argparse
import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pytest_vdb.cli.arguments import Command, Joined
from pytest_vdb.cli.numbers import whole
from pytest_vdb.cli.printing import print_json, print_table, progress, show, warn
from pytest_vdb.errors import OptionError
from pytest_vdb.figures import figure_alone, notation
from pytest_vdb.files import expanded

if TYPE_CHECKING:
    from pytest_vdb.estimates.estimate import Estimate
    from pytest_vdb.models.card import ModelCard
    from pytest_vdb.models.counts import Counts, Uncounted
    from pytest_vdb.profiling.hardware import Hardware
    from pytest_vdb.profiling.settings import Price
    from pytest_vdb.records import Recipe, WeightsMode

PROCESSOR = "cpu"
USUAL_CARDS = ("h100", "rtx4090")
"""Where this machine has no known graphics card and none was named."""


def add_to(commands: Any) -> None:
    """Register the subcommand."""
    estimate = commands.add_parser(
        "estimate",
        help="does a model fit, how long will a clip take, what will it cost? Downloads nothing",
        formatter_class=argparse.RawDescriptionHelpFormatter,
        epilog="examples:\n"
        "  vdb estimate wan2.1-t2v-1.3b --gpu h100,rtx4090\n"
        "  vdb estimate 'wan*' --recipe frames=81 --recipe height=480 --recipe width=832 --gpu h100 --price 2.5USD\n"
        "  vdb estimate tag:t2v --gpu rtx4090 --json\n\n"
        "A model that was not counted at this recipe is counted first, once: seconds, on the processor.",
    )
    models = "names, globs, tag:TAG, fits:24GB or all"
    estimate.add_argument("names", nargs="+", action=Joined, metavar="MODEL", help=models)
    estimate.add_argument("--recipe", action="append", default=[], metavar="KEY=VALUE", help="as --vdb-recipe")
    cards = "graphics cards, comma-separated (see: vdb hardware), or cpu; default: this machine's cards"
    estimate.add_argument("--gpu", metavar="NAMES", help=cards)
    price = "what an hour of one card costs: 2.5USD, or h100=2.5USD,rtx4090=0.4USD"
    estimate.add_argument("--price", metavar="PRICE", help=price)
    estimate.add_argument("--devices", type=whole("--devices", 1), default=1, metavar="N", help="cards to each clip")
    estimate.add_argument("--clips", type=whole("--clips", 1), metavar="N", help="clips in one call: --recipe batch=N")
    own = "where this machine's runs lie, which count more than what others published (default: %(default)s)"
    estimate.add_argument("--output", type=expanded, default=Path("reports"), metavar="DIR", help=own)
    estimate.add_argument("--json", action="store_true", help="as JSON, a list of objects")
    estimate.set_defaults(command=Command(EstimateArguments, _tell_estimates))


@dataclass(frozen=True, slots=True, kw_only=True)
class EstimateArguments:
    """What `vdb estimate` was asked."""

    names: str
    recipe: tuple[str, ...]
    gpu: str | None
    price: str | None
    devices: int
    clips: int | None
    output: Path
    json: bool


def _tell_estimates(arguments: EstimateArguments) -> int:
    from pytest_vdb import presets
    from pytest_vdb.estimates import evidence
    from pytest_vdb.estimates.estimate import Plan, estimate
    from pytest_vdb.estimates.prediction import published
    from pytest_vdb.models.registry import Registry
    from pytest_vdb.options import cache_folder
    from pytest_vdb.records import Recipe

    devices = _devices_asked(arguments.gpu)
    prices = _prices(arguments.price, devices)
    registry = Registry.from_catalog()
    registry.add_entry_points()
    cards = registry.select(arguments.names)
    asked = Recipe.parse(presets.expanded(arguments.recipe, where="--recipe"), where="--recipe")
    if arguments.clips is not None:
        if asked.batch not in {None, arguments.clips}:
            raise OptionError(f"{arguments.clips}, and batch={asked.batch}", where="--clips", mend="give one of them")
        asked = dataclasses.replace(asked, batch=arguments.clips)
    counted = _counted_all(cards, asked, cache_folder())
    references = (*evidence.of_runs(arguments.output, registry, cache_folder()), *published())
    found = [
        estimate(
            card,
            recipe,
            known,
            device,
            references,
            Plan(devices=arguments.devices, price_per_hour=prices.get(device.name)),
        )
        for card, recipe, known in counted
        for device in devices
    ]
    if arguments.json:
        print_json([dataclasses.asdict(one) for one in found])
        return 0
    header = ("model", "card", "fits", "GiB", "seconds", "kJ", "cost", "1,000 clips", "rests on")
    print_table(header, (_row_of_estimate(one) for one in found))
    show("of one clip; in brackets 90% intervals; `--json` has all figures: see docs/estimates.md")
    return 0


def _devices_asked(gpu: str | None) -> list[Hardware]:
    """The cards of `--gpu`, or this machine's."""
    from pytest_vdb.profiling import hardware
    from pytest_vdb.results.environment import graphics

    if gpu is not None:
        names = [name for name in gpu.split(",") if name.strip()]
        if not names:
            raise OptionError("no graphics card", where="--gpu", mend="name some: --gpu h100,rtx4090")
        return list({(one := _device_named(name)).name: one for name in names}.values())
    here = {card.name: hardware.find(card.name) for card in graphics()[0]}
    if found := {one.name: one for one in here.values() if one is not None}:
        return list(found.values())
    warn(f"no known graphics card here: these are for {' and '.join(USUAL_CARDS)} (choose with --gpu)")
    return [hardware.known()[name] for name in USUAL_CARDS]


def _device_named(name: str) -> Hardware:
    """A card of the table; `cpu` is this machine's processor, where it was measured."""
    from pytest_vdb.options import cache_folder
    from pytest_vdb.profiling import hardware
    from pytest_vdb.results.environment import capture

    if name.strip().casefold() != PROCESSOR:
        return hardware.named(name, where="--gpu")
    if (measured := hardware.measured_of(capture(PROCESSOR).cpu, cache_folder())) is None:
        mend = "measure it first: vdb hardware --measure"
        raise OptionError("what this machine's processor can do is not known", where="--gpu cpu", mend=mend)
    return measured


def _prices(text: str | None, devices: Sequence[Hardware]) -> dict[str, Price]:
    """Card -> price of an hour.

    Raises:
        OptionError: no price, or one of a card that was not asked for.
    """
    from pytest_vdb.options import price
    from pytest_vdb.profiling import hardware
    from pytest_vdb.profiling.settings import Price

    if text is None:
        return {}
    prices: dict[str, Price] = {}
    asked = {device.name for device in devices}
    for part in text.split(","):
        name, equals, value = part.rpartition("=")
        of = {hardware.named(name, where="--price").name} if equals else asked
        if not of <= asked:
            raise OptionError(f"{name!r} was not asked for", where="--price", mend="name the card in --gpu, too")
        prices |= dict.fromkeys(of, Price(*price(value, where="--price")))
    return prices


def _counted_all(
    cards: Sequence[ModelCard], asked: Recipe, cache_dir: Path
) -> list[tuple[ModelCard, Recipe, Counts | Uncounted]]:
    """Each model's recipe and counts; what nobody counted yet is counted now, and kept."""
    from pytest_vdb.models import counts, recipes

    resolved = [(card, recipes.resolve(card, asked, _weights_of(card))) for card in cards]
    found = {card.name: counts.known(card, recipe, cache_dir) for card, recipe in resolved}
    lacking = [(card, recipe) for card, recipe in resolved if found[card.name] is None]
    for card, recipe in progress(lacking, total=len(lacking), unit="model counted"):
        from pytest_vdb.estimates import counting

        made = found[card.name] = counting.count(card, recipe)
        if made.diffusers is not None:  # what is not installed may be, by the next time
            counts.keep({made.key: made}, counts.place_of(made.key, cache_dir))
    return [(card, recipe, known) for card, recipe in resolved if (known := found[card.name]) is not None]


def _weights_of(card: ModelCard) -> WeightsMode:
    """A recipe needs a mode; what is estimated is the released model's size, wherever its weights come from."""
    if card.pipeline is None:
        return "none"
    return "random" if card.repository is None else "hub"


def _row_of_estimate(one: Estimate) -> tuple[object, ...]:
    return (
        one.model,
        one.gpu,
        _in_one_word(one),
        None if one.memory_gib is None else f"{one.memory_gib:.1f}",
        _with_interval(one.seconds, one.seconds_low, one.seconds_high),
        _with_interval(
            *(None if joules is None else joules / 1e3 for joules in (one.joules, one.joules_low, one.joules_high))
        ),
        _with_currency(one.cost, one.currency),
        _with_currency(one.cost_per_1000, one.currency),
        one.rests_on,
    )


def _in_one_word(one: Estimate) -> str | None:
    if one.fits is None:
        return None
    return "yes" if one.fits else "no" if one.fits_with is None else f"with {one.fits_with}"


def _with_interval(value: float | None, low: float | None, high: float | None) -> str | None:
    if value is None:
        return None
    written = notation([low]).write
    return f"{written(value)} ({written(low)} to {written(high)})"


def _with_currency(amount: float | None, currency: str | None) -> str | None:
    return None if amount is None else f"{figure_alone(amount)} {currency}"
