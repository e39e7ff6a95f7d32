"""A small arena on disk."""

from __future__ import annotations

import pytest

from pytest_vdb import video
from pytest_vdb.arena import folder
from pytest_vdb.arena.pairing import Candidate, pairs_of
from pytest_vdb.records import Clip
from pytest_vdb.shapes import moving_shapes

HOSTILE = '<script>alert("x")</script> "\'& a red kite'


@pytest.fixture
def place(tmp_path):
    """Three models that answered two prompts, one of which is markup."""
    clips = []
    for model in ("wan", "cog", "ltx"):
        for prompt, text in (("p0", HOSTILE), ("p1", "two swallows")):
            path = tmp_path / "clips" / f"{model}-{prompt}.mp4"
            path.parent.mkdir(exist_ok=True)
            video.write_preview(Clip(moving_shapes(model + prompt, frames=4, height=32, width=32), 8.0), path)
            clips.append(Candidate(model=model, prompt=prompt, text=text, file=path))
    pairs = pairs_of(clips, None, seed=0)
    folder.build(tmp_path / "arena", pairs, checks=2, per_rater=None, models={"wan": {"weights": "hub"}}, seed=0)
    return tmp_path / "arena"
