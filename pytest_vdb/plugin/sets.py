"""Metrics of all of a model's samples (FVD, KVD, ...): computed on the controller, after the last test.

They need no clip: each test kept what the networks saw, in a file that its record names.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from typing import TYPE_CHECKING

import pytest

from pytest_vdb.errors import VdbError
from pytest_vdb.plugin.recording import Recorder
from pytest_vdb.plugin.session import given, import_metrics, options_of
from pytest_vdb.plugin.timing import is_xdist_controller

if TYPE_CHECKING:
    from pytest_vdb.metrics.contract import ReferenceFeatures
    from pytest_vdb.metrics.engine import Scores
    from pytest_vdb.records import Clip, Measurement, Record

SETS_PATH = "vdb-sets"


class SetMetrics:
    """Adds one record per benchmark and model, when set metrics were asked for."""

    def __init__(self, config: pytest.Config, recorder: Recorder) -> None:
        self.config = config
        self.recorder = recorder
        self._references: Mapping[str, ReferenceFeatures] = {}

    @pytest.hookimpl
    def pytest_sessionstart(self, session: pytest.Session) -> None:
        """Read the reference set before anything runs.

        Raises:
            pytest.UsageError: the file is no reference set.
        """
        if not given(self.config, "reference").text():
            return
        from pytest_vdb.metrics import reference

        path = options_of(self.config).reference
        assert path is not None
        try:
            self._references = reference.load(path)
        except VdbError as error:
            raise pytest.UsageError(f"--vdb-reference: {error}") from None

    @pytest.hookimpl(wrapper=True)
    def pytest_runtestloop(self, session: pytest.Session) -> object:
        """After the last test, before the gates."""
        finished = yield
        collected = self.recorder.collected
        if collected is not None and collected.sets and self.recorder.records and not self.config.option.collectonly:
            if is_xdist_controller(self.config):
                import_metrics(self.config, collected.tagged_in)
            for of_model in self._groups():
                self.recorder.append(self._record(of_model))
        return finished

    def _groups(self) -> list[list[Record]]:
        """The measured samples of each model in each benchmark with the same parameters, in fixed order.

        Of a sweep each point is a set, also where two are of one recipe (`native`): their clips are the same.
        """
        groups: dict[tuple[str, str, str, str], list[Record]] = defaultdict(list)
        for record in sorted(self.recorder.latest(), key=lambda record: record.nodeid):
            if record.status == "passed" and record.features is not None:
                parameters = str(sorted(record.parameters.items()))
                groups[record.benchmark, record.model, parameters, self._point_of_record(record)].append(record)
        return list(groups.values())

    def _point_of_record(self, record: Record) -> str:
        """What the point of the sweep is called; empty without one."""
        collected = self.recorder.collected
        test = collected.tests.get(record.nodeid) if collected is not None else None
        return test.point if test is not None else ""

    def _record(self, of_model: list[Record]) -> Record:
        """What the set metrics make of one model; a file that cannot be read is a failure, not a missing sample."""
        from dataclasses import replace

        from pytest_vdb.records import Failure

        first = of_model[0]
        parameters = [f"{name}={value}" for name, value in sorted(first.parameters.items())]
        parameters += filter(None, [self._point_of_record(first)])
        blank = replace(
            first,
            nodeid=f"{SETS_PATH}::{first.benchmark}[{', '.join([first.model, *parameters])}]",
            prompt=None,
            prompt_text=None,
            category=None,
            seed=None,
            duration_s=None,
            measurements=(),
            clip=None,
            features=None,
            reused_from=None,
            notes=(),
        )
        try:
            return replace(blank, measurements=self._measured(of_model))
        except VdbError as error:
            return replace(blank, status="failed", failure=Failure(type=type(error).__name__, message=str(error)))

    def _measured(self, of_model: list[Record]) -> tuple[Measurement, ...]:
        session = self.recorder.session()
        by_id = {prompt.id: prompt for prompt in session.suite.prompts}
        prompts = [by_id[record.prompt] for record in of_model if record.prompt in by_id]
        needs_clips = any("clips" in spec.inputs for spec in session.metrics)
        return session.engine.measure_set(
            [self._scores(record) for record in of_model],
            prompts=prompts if len(prompts) == len(of_model) else None,
            clips=self._clips(of_model) if needs_clips else None,
            references=self._references,
            names=[record.prompt or record.nodeid for record in of_model],
        )

    def _clips(self, of_model: list[Record]) -> list[Clip] | None:
        """The lossless clips, if all of them are still in the cache."""
        keys = [record.clip.lossless for record in of_model if record.clip and record.clip.lossless]
        found = [cached.clip for key in keys if (cached := self.recorder.session().cache.get(key))]
        return found if len(found) == len(of_model) else None

    def _scores(self, record: Record) -> Scores:
        from pytest_vdb.metrics.engine import Scores
        from pytest_vdb.results import features

        assert record.features is not None
        return Scores((), *features.load(self.recorder.folder() / record.features))
