"""Fit how near models come to a GPU's peak, from ML.ENERGY's published figures, and say how well that predicts.

    python benchmarks/perf/fit_estimates.py PUBLISHED/mlenergy/text-to-video.json [--write]

Leaves one model out at a time: its time and energy are predicted from the others', (a) on GPUs that the others ran on,
(b) on a GPU of which nothing is known but one run of one other model, (c) from the same model's run on the other GPU.
Prints the tables of docs/estimates.md; `--write` writes what is shipped, `pytest_vdb/estimates/fitted.toml` and the
rows of `published.toml` that are ML.ENERGY's.
"""

from __future__ import annotations

import json
import math
import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median

import numpy as np

from pytest_vdb import files
from pytest_vdb.estimates import limit, prediction
from pytest_vdb.models import counts, recipes
from pytest_vdb.models.registry import Registry
from pytest_vdb.profiling import hardware
from pytest_vdb.records import Recipe

MODELS: Mapping[str, tuple[str, dict[str, int]]] = {
    "Wan-AI/Wan2.1-T2V-1.3B-Diffusers": ("wan2.1-t2v-1.3b", {}),
    "Wan-AI/Wan2.1-T2V-14B-Diffusers": ("wan2.1-t2v-14b", {"height": 480, "width": 832}),
    "tencent/HunyuanVideo": ("hunyuanvideo", {}),
    "zai-org/CogVideoX-2b": ("cogvideox-2b", {}),
    "zai-org/CogVideoX1.5-5B": ("cogvideox1.5-5b", {}),
}
"""Their names -> the card and what its default recipe lacks."""
RIDGE = 0.1
"""Keeps the two slopes small where four models cannot tell them apart."""
T_95 = {1: 6.31, 2: 2.92, 3: 2.35, 4: 2.13, 8: 1.86}
"""Student's t: 90% between its ends, by degrees of freedom."""
MARK = "# ML.ENERGY's, written by benchmarks/perf/fit_estimates.py"
FOLDER = Path(prediction.__file__).parent
Pair = tuple[str, str]
"""A card's name and a GPU's."""


@dataclass(frozen=True)
class Row:
    """One published configuration."""

    model: str
    gpu: str
    gpus: int
    batch: int
    ulysses: int
    seconds: float
    joules: float
    """Of a clip."""


def read(path: Path) -> list[Row]:
    rows = json.loads(path.read_text(encoding="utf-8"))["configurations"]
    return [
        Row(
            MODELS[one["model_id"]][0],
            one["gpu_model"].lower(),
            one["num_gpus"],
            one["batch_size"],
            one["ulysses_degree"],
            one["batch_latency_s"],
            one["energy_per_video_joules"],
        )
        for one in rows
    ]


def recipe_of(model: str) -> Recipe:
    (settings,) = (settings for name, settings in MODELS.values() if name == model)
    return recipes.resolve(REGISTRY.get(model), Recipe(**settings), "random")


def counted(model: str) -> counts.Counts:
    found = counts.shipped()[counts.key_of(REGISTRY.get(model), recipe_of(model))]
    assert isinstance(found, counts.Counts)
    return found


REGISTRY = Registry.from_catalog()


class Fit:
    """An intercept for each GPU and two slopes for all, of the logarithm of the share of the peak."""

    def __init__(self, seconds: Mapping[Pair, float]) -> None:
        self.gpus = sorted({gpu for _, gpu in seconds})
        rows = [[*(float(gpu == one) for one in self.gpus), *widths(model)] for model, gpu in seconds]
        x, y = np.array(rows), np.array([math.log(share(*pair, value)) for pair, value in seconds.items()])
        several = len(self.gpus)
        self.centre = x[:, several:].mean(0)
        x[:, several:] -= self.centre
        penalty = np.diag([0.0] * several + [RIDGE] * 2)
        solved = np.linalg.solve(x.T @ x + penalty, x.T @ y)
        self.intercepts = dict(zip(self.gpus, solved[:several], strict=True))
        self.slopes = solved[several:]

    def seconds(self, model: str, gpu: str) -> float:
        logarithm = self.intercepts[gpu] + (np.array(widths(model)) - self.centre) @ self.slopes
        return share(model, gpu, 1.0) / math.exp(logarithm)


def widths(model: str) -> tuple[float, float]:
    found = prediction.widths_of(counted(model))
    assert found is not None
    return math.log2(found[0]), math.log2(found[1])


def share(model: str, gpu: str, seconds: float) -> float:
    peak = limit.peak_per_s(hardware.known()[gpu], recipe_of(model))
    assert peak is not None
    return counted(model).operations / peak / seconds


def left_out(seconds: Mapping[Pair, float]) -> dict[Pair, float]:
    """(a): predicted seconds, of each model from the others."""
    made = {}
    for model, gpu in seconds:
        made[model, gpu] = Fit({pair: value for pair, value in seconds.items() if pair[0] != model}).seconds(model, gpu)
    return made


def calibrated(seconds: Mapping[Pair, float]) -> dict[tuple[str, str, str], float]:
    """(b): predicted seconds, of each model on each GPU, from the others on the other GPU and one run of one other."""
    made = {}
    for model, gpu in seconds:
        for other in {name for name, _ in seconds} - {model}:
            known = {pair: value for pair, value in seconds.items() if pair[0] != model and pair[1] != gpu}
            made[model, gpu, other] = Fit({**known, (other, gpu): seconds[other, gpu]}).seconds(model, gpu)
    return made


def from_the_other_gpu(seconds: Mapping[Pair, float]) -> dict[Pair, float]:
    """(c): predicted seconds, by the median ratio of the others' between the two GPUs."""
    made = {}
    for model, gpu in seconds:
        (other,) = {one for _, one in seconds} - {gpu}
        ratios = [seconds[name, gpu] / seconds[name, other] for name, one in seconds if one == gpu and name != model]
        made[model, gpu] = seconds[model, other] * median(ratios)
    return made


def power(rows: Iterable[Row]) -> dict[Pair, float]:
    """Share of the board's limit."""
    return {(one.model, one.gpu): one.joules / one.seconds / board(one.gpu) for one in rows}


def board(gpu: str) -> float:
    limit_w = hardware.known()[gpu].board_power_w
    assert limit_w is not None
    return limit_w


def left_out_joules(single: Sequence[Row], seconds: Mapping[Pair, float]) -> dict[Pair, float]:
    shares = power(single)
    made = {}
    for model, gpu in seconds:
        others = [value for pair, value in shares.items() if pair[1] == gpu and pair[0] != model]
        made[model, gpu] = seconds[model, gpu] * board(gpu) * math.exp(np.log(others).mean())
    return made


def spread(logarithms: Sequence[float], degrees: int) -> float:
    """Half the width of a 90% interval of the next one, in logarithms."""
    deviation = math.sqrt(sum(one**2 for one in logarithms) / len(logarithms))
    return T_95[degrees] * deviation * math.sqrt(1 + 1 / (degrees + 1))


def errors(made: Mapping[object, float], true: Iterable[float]) -> list[float]:
    return [predicted / value - 1 for predicted, value in zip(made.values(), true, strict=True)]


def told(name: str, found: Sequence[float]) -> str:
    sizes = sorted(abs(one) for one in found)
    return f"{name}: median {median(sizes):.1%}, worst {sizes[-1]:.1%}, n = {len(sizes)}"


def scaling(rows: Sequence[Row]) -> tuple[dict[tuple[str, str, int], float], float, float]:
    """What every further GPU adds: seconds of n GPUs are t/n (1 + k (n - 1)), k falling with a call's operations.

    Returns:
        Of model, GPU and n: the measured k at the fastest layout; then the two coefficients of log k.
    """
    alone = {(one.model, one.gpu): one.seconds for one in rows if one.gpus == 1 and one.batch == 1}
    measured: dict[tuple[str, str, int], float] = {}
    for one in rows:
        if one.gpus > 1 and one.batch == 1:
            k = (one.seconds * one.gpus / alone[one.model, one.gpu] - 1) / (one.gpus - 1)
            at = (one.model, one.gpu, one.gpus)
            measured[at] = min(measured.get(at, math.inf), k)
    x = np.array([[1.0, math.log2(prediction.operations_per_call(counted(model)))] for model, _, _ in measured])
    solved, *_ = np.linalg.lstsq(x, np.log(list(measured.values())), rcond=None)
    return measured, float(solved[0]), float(solved[1])


def scaling_errors(rows: Sequence[Row]) -> list[float]:
    """Of seconds on several GPUs, each model from the others' k."""
    found = []
    measured, *_ = scaling(rows)
    for model, gpu, several in measured:
        _, a, b = scaling([one for one in rows if one.model != model])
        k = math.exp(a + b * math.log2(prediction.operations_per_call(counted(model))))
        found.append((1 + k * (several - 1)) / (1 + measured[model, gpu, several] * (several - 1)) - 1)
    return found


def batch_errors(rows: Sequence[Row]) -> list[float]:
    alone = {(one.model, one.gpu): one.seconds for one in rows if one.gpus == 1 and one.batch == 1}
    return [alone[one.model, one.gpu] * one.batch / one.seconds - 1 for one in rows if one.gpus == 1 and one.batch > 1]


def impossible(rows: Sequence[Row], divided_by: float) -> dict[tuple[str, bool], tuple[int, int, int]]:
    """How many rows there are, are refused, and are doubted at least: by GPU and whether it is one GPU."""
    found: dict[tuple[str, bool], tuple[int, int, int]] = {}
    for one in rows:
        judged = limit.limit(
            counted(one.model),
            recipe_of(one.model),
            hardware.known()[one.gpu],
            one.seconds / divided_by,
            clips=one.batch,
            devices=one.gpus,
        )
        key = (one.gpu, one.gpus == 1)
        rows_of, refused, doubted = found.get(key, (0, 0, 0))
        found[key] = (rows_of + 1, refused + judged.is_impossible, doubted + judged.is_doubtful)
    return found


def main(arguments: Sequence[str]) -> None:
    rows = read(Path(arguments[0]))
    single = [one for one in rows if one.gpus == one.batch == 1]
    seconds = {(one.model, one.gpu): one.seconds for one in single}
    joules = {(one.model, one.gpu): one.joules for one in single}
    known, one_run, other = left_out(seconds), calibrated(seconds), from_the_other_gpu(seconds)
    energy = left_out_joules(single, known)
    print("| model | GPU | published s | predicted s | error | published kJ | predicted kJ | error |")
    print("|---|---|---|---|---|---|---|---|")
    for pair, value in seconds.items():
        kilojoules = joules[pair] / 1e3, energy[pair] / 1e3
        print(
            f"| {pair[0]} | {pair[1]} | {value:.1f} | {known[pair]:.1f} | {known[pair] / value - 1:+.1%} "
            f"| {kilojoules[0]:.1f} | {kilojoules[1]:.1f} | {kilojoules[1] / kilojoules[0] - 1:+.1%} |"
        )
    of_known = errors(known, seconds.values())
    of_one_run = errors(one_run, [seconds[model, gpu] for model, gpu, _ in one_run])
    of_other = errors(other, seconds.values())
    of_energy = errors(energy, joules.values())
    print(told("(a) seconds, GPU known from other models", of_known))
    print(told("(b) seconds, one run of another model on a GPU that is otherwise unknown", of_one_run))
    print(told("(c) seconds, the same model on the other GPU", of_other))
    print(told("joules, GPU known from other models", of_energy))
    print(told("several GPUs at one clip, each model from the others", scaling_errors(rows)))
    print(told("batches on one GPU, as so many clips", batch_errors(rows)))
    for factor in (1, 4):
        refused = impossible(rows, factor)
        totals = [sum(of) for of in zip(*refused.values(), strict=True)]
        print(f"latency / {factor}: of {totals[0]} refused {totals[1]}, doubted {totals[2]}: {refused}")
    fit = Fit(seconds)
    logs = {
        name: [math.log(1 + one) for one in found]
        for name, found in (("known", of_known), ("calibrated", of_one_run), ("other", of_other), ("energy", of_energy))
    }
    half = {
        "known_gpu": spread(logs["known"], 2),
        "calibrated": spread(logs["calibrated"], 2),
        "other_gpu": spread(logs["other"], 4),
        "joules": spread(logs["energy"], 2),
    }
    for name, of in (
        ("known_gpu", "known"),
        ("calibrated", "calibrated"),
        ("other_gpu", "other"),
        ("joules", "energy"),
    ):
        inside = sum(abs(one) <= half[name] for one in logs[of])
        print(f"90% interval {name}: x or / {math.exp(half[name]):.3f}, holds {inside} of {len(logs[of])}")
    _, a, b = scaling(rows)
    if "--write" in arguments:
        write(fit, half, (a, b), single)


def write(fit: Fit, half: Mapping[str, float], scaled: tuple[float, float], single: Sequence[Row]) -> None:
    spans = [widths(model) for model in {one.model for one in single}]
    low, high = np.min(spans, axis=0), np.max(spans, axis=0)
    lines = [
        "# How near models come to a GPU's peak, and how far that may be off, fitted by fit_estimates.py",
        "# to ML.ENERGY's ten rows in published.toml. Logarithms are natural, widths are log2.",
        f"inner_slope = {fit.slopes[1]:.5f}",
        f"head_slope = {fit.slopes[0]:.5f}",
        f"inner_range = [{low[1]:.3f}, {high[1]:.3f}]",
        f"head_range = [{low[0]:.3f}, {high[0]:.3f}]",
        f"further_gpus = [{scaled[0]:.4f}, {scaled[1]:.4f}]",
        "",
        "[half_width]",
        *(f"{name} = {value:.4f}" for name, value in half.items()),
    ]
    files.write(FOLDER / "fitted.toml", "\n".join(lines) + "\n")
    head = (FOLDER / "published.toml").read_text(encoding="utf-8").partition(MARK)[0] + MARK + "\n\n"
    blocks = []
    for one in single:
        (settings,) = (settings for name, settings in MODELS.values() if name == one.model)
        inline = ", ".join(f"{name} = {value}" for name, value in settings.items())
        blocks.append(
            f'[[row]]\nmodel = "{one.model}"\ngpu = "{one.gpu}"\nrecipe = {{ {inline} }}\n'.replace("{  }", "{}")
            + f'seconds = {one.seconds:.2f}\njoules = {one.joules:.0f}\nsource = "ML.ENERGY"\n'
        )
    files.write(FOLDER / "published.toml", head + "\n".join(blocks))


if __name__ == "__main__":
    main(sys.argv[1:])
