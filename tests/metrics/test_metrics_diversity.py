"""Diversity of a model's answers to the same prompt."""

import numpy as np
import pytest

from pytest_vdb.errors import CannotMeasure
from pytest_vdb.metrics.diversity import diversity
from pytest_vdb.records import Prompt


def clip_of(*direction):
    return np.tile(np.array(direction, np.float32) / np.linalg.norm(direction), (4, 1))


def prompts(*ids):
    return [Prompt(id=name, text=name) for name in ids]


def test_the_same_clip_every_time_has_none():
    assert diversity([clip_of(1, 2)] * 3, prompts("a", "a", "a")).value == pytest.approx(0, abs=1e-6)


def test_it_is_the_mean_over_pairs_and_then_over_prompts():
    clips = [clip_of(1, 0), clip_of(0, 1), clip_of(1, 0), clip_of(1, 0), clip_of(-1, 0)]
    score = diversity(clips, prompts("a", "a", "b", "b", "b"))
    assert score.series == pytest.approx([1, 4 / 3])
    assert score.value == pytest.approx(7 / 6)
    assert score.n == 2


def test_differences_between_prompts_do_not_count():
    with pytest.raises(CannotMeasure, match="no prompt has two samples"):
        diversity([clip_of(1, 0), clip_of(0, 1)], prompts("a", "b"))


def test_the_interval_comes_from_the_prompts():
    rng = np.random.default_rng(0)
    clips = [clip_of(*rng.normal(0, 1, 8)) for _ in range(20)]
    score = diversity(clips, prompts(*(str(i // 2) for i in range(20))))
    low, high = score.interval
    assert low < score.value < high


def test_a_clip_without_features_is_said():
    with pytest.raises(CannotMeasure, match="1 clips have features, of 2"):
        diversity([clip_of(1, 0)], prompts("a", "a"))
