"""Votes of every layout are read as what they are; what is none is counted or refused."""

from __future__ import annotations

import json

import pytest

from pytest_vdb.analysis.votes import Shown, read_votes
from pytest_vdb.errors import RecordError

KEY = {
    "t1": Shown(model="wan", prompt="p0"),
    "t2": Shown(model="cog", prompt="p0"),
    "t3": Shown(model="wan", prompt="p0", is_degraded=True),
}


def written(tmp_path, name: str, content: str):
    path = tmp_path / name
    path.write_text(content)
    return path


def told(path, key=None):
    return [
        (vote.rater, vote.left.model, vote.right.model, vote.choice, vote.left.prompt)
        for vote in read_votes(path, key).votes
    ]


def test_a_vote_of_our_page_is_read_by_its_key(tmp_path):
    line = {"arena": "x", "pair": 0, "left": "t2", "right": "t1", "choice": "right", "rater": "anna", "seconds": 3.2}
    path = written(tmp_path, "votes.jsonl", json.dumps(line) + "\n")
    assert told(path, KEY) == [("anna", "cog", "wan", "right", "p0")]


def test_a_check_is_attentive_where_the_clip_that_was_not_made_worse_is_preferred(tmp_path):
    lines = [
        {"left": left, "right": right, "choice": "left", "rater": "a"} for left, right in (("t1", "t3"), ("t3", "t1"))
    ]
    path = written(tmp_path, "votes.jsonl", "\n".join(map(json.dumps, lines)))
    votes = read_votes(path, KEY).votes
    assert [(vote.is_check, vote.is_attentive) for vote in votes] == [(True, True), (True, False)]


def test_mechanical_turks_batch_results(tmp_path):
    path = written(
        tmp_path,
        "Batch_1_batch_results.csv",
        "HITId,AssignmentId,WorkerId,AssignmentStatus,Input.model_a,Input.model_b,Input.prompt_id,Answer.choice\n"
        "h1,a1,W1,Approved,wan,cog,p0,model_a\nh1,a2,W2,Rejected,wan,cog,p0,model_b\nh2,a3,W3,Submitted,cog,wan,p1,wan\n",
    )
    assert told(path) == [("W1", "wan", "cog", "left", "p0"), ("W3", "cog", "wan", "right", "p1")]
    assert read_votes(path).left_out == {"the assignment was rejected": 1}


def test_prolific_beside_a_surveys_columns(tmp_path):
    path = written(
        tmp_path,
        "survey.csv",
        "PROLIFIC_PID,Duration,left,right,preference\n5f1,12,wan,cog,Left\n5f2,9,cog,wan,same\n5f3,1,wan,cog,\n",
    )
    assert told(path) == [("5f1", "wan", "cog", "left", None), ("5f2", "cog", "wan", "tie", None)]
    assert read_votes(path).left_out == {"no answer": 1}


@pytest.mark.parametrize(
    ("row", "expected"),
    [
        ({"type": "leftvote", "models": ["wan", "cog"], "ip": "1.2.3.4"}, ("1.2.3.4", "wan", "cog", "left", None)),
        ({"type": "bothbad_vote", "models": ["wan", "cog"]}, ("unknown", "wan", "cog", "tie", None)),
        (
            {"left_model": "wan", "right_model": "cog", "vote_type": "rightvote", "prompt": "a kite"},
            ("unknown", "wan", "cog", "right", "a kite"),
        ),
        ({"model_a": "wan", "model_b": "cog", "winner": "model_b", "judge": "j1"}, ("j1", "wan", "cog", "right", None)),
        (
            {"left": "wan", "right": "cog", "choice": "left", "rater": ["a", 1], "prompt_id": 0},
            ("['a', 1]", "wan", "cog", "left", "0"),
        ),
        ({"model_a": "wan", "model_b": "cog", "winner": "tie (bothbad)"}, ("unknown", "wan", "cog", "tie", None)),
    ],
)
def test_other_arenas(tmp_path, row, expected):
    lines = [row, {**row, "type": "chat"}] if "type" in row else [row]
    path = written(tmp_path, "votes.jsonl", "\n".join(map(json.dumps, lines)))
    assert told(path) == [expected]


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("v.csv", "left,right\na,b\n", "no columns for the choice among left, right"),
        ("v.csv", "who,choice\na,left\n", "no columns for two sides"),
        ("v.csv", "left,right,choice\na,b,maybe\n", "the choice is 'maybe'"),
        ("v.csv", "left,right,choice\na,b,c,d\n", "more cells than the header"),
        ("v.jsonl", '{"models": "wan", "type": "leftvote"}\n', "models is 'wan'"),
        ("v.jsonl", '{"left": "a", "right": "b", "choice": ["left"]}\n', "the choice is .'left'."),
        ("v.jsonl", "[1]\n", "no object"),
        ("v.csv", "left,right,choice\n", "it holds no rows"),
    ],
)
def test_what_cannot_be_read_says_what_and_where(tmp_path, name, content, said):
    with pytest.raises(RecordError, match=said) as error:
        read_votes(written(tmp_path, name, content))
    assert name in str(error.value)


def test_a_token_of_another_arena_is_refused(tmp_path):
    path = written(tmp_path, "votes.csv", "left,right,choice\nt1,t9,left\n")
    with pytest.raises(RecordError, match="the key knows no clip 't9'"):
        read_votes(path, KEY)
