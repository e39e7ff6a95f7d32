"""Which benchmarks there are and what each is about: what every record says before its test has run.

A record is born with its test, not with the fixture that measures: a test that is skipped by a mark, fails in another
fixture or dies with its worker has the same identity as one that passed.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from pytest_vdb.records import Prompt, Record, seed_of


@dataclass(frozen=True, slots=True)
class Test:
    """One collected benchmark."""

    benchmark: str
    """File, class and function."""
    model: str
    prompt: str | None
    sample_index: int
    parameters: dict[str, str]
    """The test's own, besides model, prompt and sample."""
    point: str = ""
    """What the point of a sweep is called; empty without one."""

    @property
    def setup(self) -> str:
        """The model, and the point: no model's name holds a line break."""
        return f"{self.model}\n{self.point}" if self.point else self.model


@dataclass(frozen=True, slots=True, kw_only=True)
class Collected:
    """The benchmarks of a session."""

    tests: dict[str, Test] = field(default_factory=dict)
    """By node id."""
    models: dict[str, Record] = field(default_factory=dict)
    """What every record of a model, or of a model at a point, says, whatever becomes of its test: by `Test.setup`."""
    prompts: dict[str, Prompt] = field(default_factory=dict)
    seed: int = 0
    """The base seed."""
    sets: bool = False
    """Whether a metric of all samples of a model is asked for."""
    tagged_in: tuple[str, ...] = ()
    """The user's files that tag the session's metrics and their networks."""

    def model_of(self, nodeid: str) -> str | None:
        """The model that a test is about; None: it is no benchmark of a model."""
        test = self.tests.get(nodeid)
        return None if test is None else test.model

    def record(self, nodeid: str) -> Record:
        """A test's record before anything is known of what became of it: `not_run`."""
        test = self.tests[nodeid]
        prompt = self.prompts.get(test.prompt) if test.prompt is not None else None
        about = self.models[test.setup]
        return replace(
            about,
            nodeid=nodeid,
            benchmark=test.benchmark,
            parameters=test.parameters,
            prompt=test.prompt,
            prompt_text=prompt.text if prompt else None,
            category=prompt.category if prompt else None,
            sample_index=test.sample_index,
            seed=seed_of(self.seed, test.prompt or "", test.sample_index),
            suite=about.suite if prompt else None,
            suite_digest=about.suite_digest if prompt else None,
        )
