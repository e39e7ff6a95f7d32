"""Nights of a real pipeline with tiny weights that somebody made worse, on a machine that others use."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator

import pytest

from conftest import TEST, User

DAMAGED = '''
WORSE = ""

def pytest_configure():
    """What a bad commit does to the library: blurred decoding, one more step, a pause of a tenth."""
    import functools
    import time
    import numpy as np
    from torch.nn.functional import avg_pool3d, pad
    from diffusers import AutoencoderKLLTXVideo, LTXPipeline
    from diffusers.pipelines.ltx import pipeline_ltx

    decode, call, steps = AutoencoderKLLTXVideo.decode, LTXPipeline.__call__, pipeline_ltx.retrieve_timesteps

    def blurred(self, *arguments, **options):
        (frames,) = decode(self, *arguments, **options)
        return (avg_pool3d(pad(frames, (1, 1, 1, 1, 0, 0), mode="replicate"), (1, 3, 3), stride=1),)

    def one_more(scheduler, count=None, device=None, timesteps=None, sigmas=None, **options):
        count = len(sigmas) + 1
        return steps(scheduler, count, device, timesteps, sigmas=np.linspace(1.0, 1 / count, count), **options)

    @functools.wraps(call)  # its signature says what a pipeline takes
    def slower(self, *arguments, **options):
        began = time.perf_counter()
        output = call(self, *arguments, **options)
        time.sleep((time.perf_counter() - began) / 10)
        return output

    if WORSE == "blur":
        AutoencoderKLLTXVideo.decode = blurred
    if WORSE == "step":
        pipeline_ltx.retrieve_timesteps = one_more
    if WORSE == "sleep":
        LTXPipeline.__call__ = slower
'''
NIGHT = "pytest benchmarks --vdb-models=ltx-video --vdb-weights=tiny"
RULES = "sharpness:-1%,temporal_flicker:+1%,frozen_frames:+0.02,latency:+10%"


@pytest.fixture
def project(with_tiny_weights: User) -> User:
    """In a project of one real pipeline."""
    with_tiny_weights.writes("conftest.py", DAMAGED)
    with_tiny_weights.writes("benchmarks/test_generation.py", TEST)
    return with_tiny_weights


@pytest.fixture
def neighbour() -> Iterator[None]:
    """A process that takes what it gets of the machine."""
    busy = subprocess.Popen([sys.executable, "-c", "while True: pass"])
    yield
    busy.kill()
    busy.wait()


@pytest.mark.heavy
@pytest.mark.usefixtures("neighbour")
def test_the_same_code_twice_is_equivalent_with_and_without_workers_and_from_the_cache(project):
    project.types(f"{NIGHT} --vdb-prompts=smoke:6").ends(0)
    project.types("vdb baseline save reports/runs/* -o main.json").ends(0)
    gated = f"{NIGHT} --vdb-prompts=smoke:6 --vdb-baseline=main.json --vdb-fail-on='sharpness:-1%,temporal_flicker:+1%'"
    for how in ("--vdb-cache=never", "--vdb-cache=never -n 2", "--vdb-cache=only-cache"):
        project.types(f"{gated} --vdb-strict {how}").ends(0).shows("2 equivalent", "(+0.0%; allowed -1%)")


@pytest.mark.heavy
@pytest.mark.usefixtures("neighbour")
@pytest.mark.parametrize(
    ("worse", "regressed", "others"),
    [
        ("blur", ["sharpness"], ["frozen_frames", "temporal_flicker"]),
        ("step", ["sharpness"], ["frozen_frames", "temporal_flicker"]),
        ("sleep", [], ["sharpness", "frozen_frames", "temporal_flicker"]),
    ],
)
def test_made_worse_on_purpose_exactly_what_got_worse_regresses(project, worse, regressed, others):
    """Costs of one earlier session are not trusted, see `vdb ab`; one more step blurs an untrained network, too."""
    night = f"{NIGHT} --vdb-prompts=standard-100:30 --vdb-cache=never"
    project.types(night).ends(0)
    project.types("vdb baseline save reports/runs/* -o main.json").ends(0)
    project.changes("conftest.py", 'WORSE = ""', f'WORSE = "{worse}"')
    seen = project.types(f"{night} --vdb-baseline=main.json --vdb-fail-on='{RULES}'").ends(1 if regressed else 0)
    seen.shows(*(f"regressed {metric} of ltx-video" for metric in regressed))
    seen.hides(*(f"regressed    {metric}" for metric in (*others, "latency")))


@pytest.mark.heavy
@pytest.mark.usefixtures("neighbour")
def test_a_pause_of_a_tenth_is_found_in_turns_and_nothing_else(project):
    project.types("git init -q && git add . && git -c user.name=a -c user.email=a@b.c commit -qm base").ends(0)
    project.changes("conftest.py", 'WORSE = ""', 'WORSE = "sleep"')
    turns = "vdb ab --ref HEAD --fail-on 'sharpness:-1%,latency:+0%' --"
    # Forty steps take most of a second: a neighbour disturbs one clip of a few hundredths by half of it.
    night = "benchmarks --vdb-models=ltx-video --vdb-weights=tiny --vdb-prompts=smoke:6 --vdb-recipe=steps=40"
    seen = project.types(f"{turns} {night}", patience=1_200).ends(1)
    seen.shows("regressed latency of ltx-video", "equivalent sharpness of ltx-video", "1 regressed, 1 equivalent")
