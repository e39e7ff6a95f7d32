import time
from pathlib import Path

import pytest

from pytest_vdb.models.recipes import resolve
from pytest_vdb.profiling.profiler import Profiler
from pytest_vdb.profiling.stages import Stages


def read(readings):
    return {measured.name: measured for measured in readings.measurements}


STEP_S = 0.004


def pipeline():
    """As little of a pipeline as the hooks need: a torch module as denoiser, plain objects beside it."""
    from torch import nn

    class Denoiser(nn.Module):
        def forward(self, latents):
            time.sleep(STEP_S)
            return latents + 1

    class Vae:
        def decode(self, latents):
            time.sleep(2 * STEP_S)
            return latents * 2

    class Scheduler:
        def step(self, latents):
            return latents - 0.5

    class Pipeline:
        def __init__(self):
            self.transformer, self.vae, self.scheduler = Denoiser(), Vae(), Scheduler()

        def encode_prompt(self, prompt):
            time.sleep(STEP_S)
            return float(len(prompt))

        def __call__(self, prompt, steps=3):
            latents = self.encode_prompt(prompt)
            for _ in range(steps):
                self.transformer(latents)
                latents = self.scheduler.step(self.transformer(latents))
            return self.vae.decode(latents)

    return Pipeline()


def test_the_stages_of_a_call_are_told_apart_and_the_result_is_the_same():
    pipe = pipeline()
    plain = pipe("a kite")
    with Profiler("cpu").watch(pipe) as readings:
        assert pipe("a kite") == plain
    found = {name: measured.value for name, measured in read(readings).items()}
    assert found["denoiser_calls"] == 6
    assert found["text_encoding_time"] >= STEP_S
    assert found["denoising_time"] >= 6 * STEP_S
    assert found["step_time"] == pytest.approx(found["denoising_time"] / 3)
    assert found["decoding_time"] >= 2 * STEP_S
    stages = found["text_encoding_time"] + found["denoising_time"] + found["decoding_time"]
    assert stages <= found["latency"]


def test_a_stage_that_did_not_happen_is_none_with_a_reason():
    pipe = pipeline()
    with Profiler("cpu").watch(pipe) as readings:
        pass
    found = read(readings)
    for reading in Stages.readings:
        assert found[reading.name].value is None, reading.name
        assert found[reading.name].reason


def test_the_hooks_are_taken_off_even_when_the_call_raises():
    pipe = pipeline()
    before = [dict(vars(thing)) for thing in (pipe, pipe.vae, pipe.scheduler, pipe.transformer)]

    def watched():
        with Profiler("cpu").watch(pipe):
            pipe(None)

    with pytest.raises(TypeError):
        watched()
    assert [dict(vars(thing)) for thing in (pipe, pipe.vae, pipe.scheduler, pipe.transformer)] == before


@pytest.mark.slow
@pytest.mark.parametrize("name", ["wan2.1-t2v-1.3b", "cogvideox-2b"])
def test_a_real_tiny_pipeline_makes_the_same_clip_when_watched(name, tmp_path):
    from pytest_vdb.models.registry import Registry
    from pytest_vdb.models.source import WeightsSource
    from pytest_vdb.records import Prompt, Recipe

    registry = Registry.from_catalog()
    if name not in registry.names():
        pytest.skip(f"no card {name}")
    card = registry.get(name)
    recipe = resolve(card, Recipe(), "tiny")
    source = WeightsSource(mode="tiny", device="cpu", cache_dir=Path(tmp_path), local_dir=None, offline=True)
    model = registry.open(card, recipe, source)
    prompt = Prompt(id="p", text="A kite.")
    plain = model.generate(prompt, recipe, 1)
    with Profiler("cpu").watch(model.pipeline) as readings:
        watched = model.generate(prompt, recipe, 1)
    assert watched.digest() == plain.digest()
    found = {name: measured.value for name, measured in read(readings).items()}
    for stage in ("text_encoding_time", "denoising_time", "decoding_time", "step_time", "denoiser_calls"):
        assert found[stage], stage
    assert found["denoising_time"] + found["decoding_time"] < found["latency"]
