import copy
import inspect
import time
from pathlib import Path
from types import SimpleNamespace

import pytest

from pytest_vdb.models.recipes import resolve
from pytest_vdb.profiling.division import DECODE, DENOISE, ENCODE, POST, TEXT, Marks, divide
from pytest_vdb.profiling.profiler import Profiler
from pytest_vdb.profiling.stages import OTHER_TIME, Stages


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
    for reading in (one for one in Stages.readings if one != OTHER_TIME):
        assert found[reading.name].value is None, reading.name
        assert found[reading.name].reason
    assert found["other_time"].value == found["latency"].value


def test_the_hooks_are_taken_off_even_when_the_call_raises():
    pipe = pipeline()
    before = [dict(vars(thing)) for thing in (pipe, pipe.vae, pipe.scheduler, pipe.transformer)]

    def watched():
        with Profiler("cpu").watch(pipe):
            pipe(None)

    with pytest.raises(TypeError):
        watched()
    assert [dict(vars(thing)) for thing in (pipe, pipe.vae, pipe.scheduler, pipe.transformer)] == before


def test_stages_and_what_lies_between_them_are_the_call_and_steps_are_the_denoising():
    marks = Marks(
        spans={
            TEXT: [(0.1, 0.6)],
            ENCODE: [(0.7, 0.8)],
            DENOISE: [(1.0, 1.4), (1.5, 1.9), (2.5, 3.0)],
            DECODE: [(2.0, 2.4), (3.2, 3.6)],
            POST: [(3.7, 3.8)],
        },
        steps=[1.45, 1.95, 3.1],
        seconds=4.0,
    )
    divided = divide(marks)
    assert divided.stages == pytest.approx({TEXT: 0.5, ENCODE: 0.1, DENOISE: 1.7, DECODE: 0.8, POST: 0.3})
    assert divided.other == pytest.approx(4.0 - 3.4)
    assert divided.steps == pytest.approx((0.45, 0.5, 0.75)), "the third decodes a part meanwhile"
    assert sum(divided.steps) == pytest.approx(divided.stages[DENOISE])


def test_schedulers_that_step_side_by_side_make_one_step():
    marks = Marks(spans={DENOISE: [(0.0, 0.4), (0.5, 0.9)]}, steps=[0.41, 0.42, 0.43, 0.91, 0.92], seconds=1.0)
    assert divide(marks).steps == pytest.approx((0.43, 0.49))


def test_a_step_that_ends_at_the_very_moment_at_which_the_next_call_begins_is_a_step():
    """CUDA's moments are 32-bit floats of milliseconds: after a minute and a half ties are usual."""
    spans = {DENOISE: [(90.0, 91.0), (91.0, 92.0), (92.0, 93.0)]}
    divided = divide(Marks(spans=spans, steps=[91.0, 92.0, 93.0], seconds=94.0))
    assert divided.steps == (1.0, 1.0, 1.0)


def test_a_call_in_which_cuda_wakes_up_has_a_latency_and_no_stages(monkeypatch):
    """Parts that are moved to a card when they are first used: half of the moments are of another clock."""
    import torch

    pipe, awake = pipeline(), []
    monkeypatch.setattr(torch.cuda, "is_initialized", lambda: bool(awake))
    monkeypatch.setattr(torch.cuda, "current_stream", lambda device: None)
    monkeypatch.setattr(torch.cuda, "synchronize", lambda device: None)
    monkeypatch.setattr(torch.cuda, "Event", lambda **_: SimpleNamespace(record=lambda stream: None))
    monkeypatch.setattr(torch.cuda, "reset_peak_memory_stats", lambda device: None)
    monkeypatch.setattr(torch.cuda, "max_memory_allocated", lambda device: 0)
    with Profiler("cuda", lambda _: []).watch(pipe) as readings:
        pipe.encode_prompt("a kite")
        awake.append(True)
        pipe("a kite")
    found = read(readings)
    assert found["latency"].value > 0
    assert found["denoising_time"].value is None
    assert "first used within the call" in found["denoising_time"].reason


def test_a_call_without_a_scheduler_has_no_steps_and_one_that_does_not_decode_has_no_tail():
    divided = divide(Marks(spans={DENOISE: [(0.2, 0.9)]}, steps=[], seconds=1.0))
    assert (divided.stages, divided.steps) == ({DENOISE: pytest.approx(0.7)}, ())
    assert divided.other == pytest.approx(0.3)


def test_what_asks_for_a_signature_sees_that_of_the_method():
    class Scheduler:
        def step(self, latents, *, generator=None):
            return latents

    pipe = pipeline()
    pipe.scheduler = Scheduler()
    with Profiler("cpu").watch(pipe):
        assert "generator" in inspect.signature(pipe.scheduler.step).parameters


def test_a_copied_scheduler_steps_itself_is_counted_and_is_plain_afterwards():
    class Scheduler:
        def __init__(self):
            self.at = 0

        def step(self, latents):
            self.at += 1
            return latents

    pipe = pipeline()
    pipe.scheduler = Scheduler()
    with Profiler("cpu").watch(pipe) as readings:
        copied = copy.deepcopy(pipe.scheduler)
        for _ in range(2):
            pipe.transformer(0.0)
            copied.step(0.0)
    assert (pipe.scheduler.at, copied.at) == (0, 2)
    assert (vars(pipe.scheduler), vars(copied)) == ({"at": 0}, {"at": 2})
    assert read(readings)["denoising_steps"].value == 2


def test_whoever_is_told_of_stages_and_fails_costs_the_stages_and_not_the_clip():
    told = []

    def entered(stage):
        told.append(stage)
        if stage == DECODE:
            raise OSError("the memory could not be read")

    pipe = pipeline()
    plain = pipe("a kite")
    with Profiler("cpu", lambda device: [Stages(pipe, device, entered)]).watch() as readings:
        assert pipe("a kite") == plain
    assert told == [TEXT, DENOISE, DECODE]
    assert read(readings)["latency"].value > 0
    assert read(readings)["denoising_time"].value is None


@pytest.mark.slow
@pytest.mark.parametrize("compiled", [False, "in place", "wrapped"])
def test_calls_are_counted_eager_and_compiled_and_the_output_is_the_same(compiled):
    import torch

    network = torch.nn.Sequential(torch.nn.Linear(8, 8), torch.nn.GELU())
    if compiled == "in place":
        network.compile(backend="eager")
    pipe = pipeline()
    pipe.transformer = torch.compile(network, backend="eager") if compiled == "wrapped" else network
    before, state = dict(vars(pipe.transformer)), torch.ones(2, 8)
    plain = pipe.transformer(state)
    with Profiler("cpu").watch(pipe) as readings:
        for _ in range(3):
            assert torch.equal(pipe.transformer(state), plain)
    assert read(readings)["denoiser_calls"].value == 3
    assert vars(pipe.transformer).keys() == before.keys()
    assert torch.equal(pipe.transformer(state), plain)


STEPS = 8
CALLS = {
    ("wan2.2-t2v-a14b", 4.0): 2 * STEPS,
    ("wan2.2-t2v-a14b", 1.0): STEPS,
    ("cogvideox-2b", 6.0): STEPS,
    ("ltx-video", 3.0): STEPS,
    ("animatediff", 7.5): STEPS,
    ("svd", None): STEPS,
    ("modelscope-t2v", None): STEPS,
    ("skyreels-v2-df-1.3b-540p", 6.0): 2 * STEPS,
    ("cosmos3-super-i2v-4step", None): None,
}
"""Two experts and guidance in two calls; without guidance; guidance in one call of twice the batch; a pipeline without
`callback_on_step_end`; one with a scheduler for each frame; a modular one."""


@pytest.mark.slow
@pytest.mark.parametrize(("name", "guidance"), CALLS)
def test_a_real_tiny_pipeline_is_divided_in_full_and_makes_the_same_clip(name, guidance, tmp_path):
    from pytest_vdb.models.registry import Registry
    from pytest_vdb.models.source import WeightsSource
    from pytest_vdb.records import Prompt, Recipe

    registry = Registry.from_catalog()
    card = registry.get(name)
    asked = Recipe(steps=None if card.pipeline.endswith("DistilledModularPipeline") else STEPS, guidance=guidance)
    recipe = resolve(card, asked, "tiny")
    source = WeightsSource(mode="tiny", device="cpu", cache_dir=Path(tmp_path), local_dir=None, offline=True)
    model = registry.open(card, recipe, source)
    prompt = Prompt(id="p", text="A kite.")
    plain = model.generate(prompt, recipe, 1)
    with Profiler("cpu").watch(model.pipeline) as readings:
        watched = model.generate(prompt, recipe, 1)
    model.close()
    assert watched.digest() == plain.digest()
    found = {name: measured.value for name, measured in read(readings).items()}
    steps = read(readings)["step_time"].series
    assert len(steps) == found["denoising_steps"] == recipe.steps
    assert found["denoiser_calls"] == (CALLS[name, guidance] or recipe.steps)
    assert sum(steps) == pytest.approx(found["denoising_time"], rel=0.02)
    stages = [value for name, value in found.items() if name.endswith("_time") and name != "step_time"]
    assert sum(filter(None, stages)) == pytest.approx(found["latency"], rel=0.02)
    assert 0 <= found["other_time"] < found["latency"] / 2
    assert min(steps) > 0
