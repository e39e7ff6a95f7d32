"""`vdb ci comment`: one comment on a pull request, kept up to date, over HTTP."""

from __future__ import annotations

from pathlib import Path

import pytest

from pytest_vdb.cli import main

EVENTS = Path(__file__).parent / "events"
MARK = "<!-- pytest-vdb: benchmark -->"


@pytest.fixture
def page(tmp_path, monkeypatch, job) -> Path:
    """What is to be said; the job's environment is this process's."""
    for name, value in job.items():
        monkeypatch.setenv(name, value)
    path = tmp_path / "comment.md"
    path.write_text("# Gate: passed\n")
    return path


def test_the_first_job_makes_the_comment_and_the_next_brings_it_up_to_date(page, github, capsys):
    github.writes("Looks good to me", association="OWNER")
    assert main(["ci", "comment", str(page)]) == 0
    page.write_text("# Gate: failed\n")
    assert main(["ci", "comment", str(page)]) == 0
    told = capsys.readouterr().out
    assert "made the comment https://github.com/octocat/films/pull/7#issuecomment-2" in told
    assert "updated the comment" in told
    assert len(github.comments) == 2
    ours = github.comments[1]["body"]
    assert ours.startswith(f"{MARK}\n# Gate: failed\n")
    assert "(https://github.com/octocat/films/actions/runs/4711)" in ours


def test_jobs_of_other_names_have_comments_of_their_own(page, github):
    assert main(["ci", "comment", str(page), "--name=smoke"]) == 0
    assert main(["ci", "comment", str(page), "--name=nightly"]) == 0
    assert main(["ci", "comment", str(page), "--name=smoke"]) == 0
    assert len(github.comments) == 2


def test_the_comment_is_found_behind_many_others(page, github):
    for number in range(230):
        github.writes(f"comment {number}")
    ours = github.writes(f"{MARK}\nold", kind="Bot")
    assert main(["ci", "comment", str(page)]) == 0
    assert "Gate: passed" in ours["body"]
    assert [asked.partition("&page=")[2] for asked in github.asked[:3]] == ["1", "2", "3"]
    assert len(github.asked) == 4


def test_exactly_a_full_page_of_comments_has_an_end(page, github):
    for number in range(100):
        github.writes(f"comment {number}")
    assert main(["ci", "comment", str(page)]) == 0
    assert len(github.comments) == 101


def test_a_stranger_who_copies_the_mark_gets_no_comment_of_ours(page, github):
    """They could change it afterwards, to `passed`."""
    planted = github.writes(f"{MARK}\nGate: passed")
    assert main(["ci", "comment", str(page)]) == 0
    assert planted["body"] == f"{MARK}\nGate: passed"
    assert len(github.comments) == 2


def test_a_page_longer_than_a_comment_may_be_is_cut_and_says_so(page, github):
    page.write_text("a line of ten ä\n" * 10_000)
    assert main(["ci", "comment", str(page)]) == 0
    body = github.comments[0]["body"]
    assert 60_000 < len(body.encode()) <= 65_536
    assert "lines left out" in body
    assert body.endswith("actions/runs/4711)\n")


@pytest.mark.parametrize(
    ("refusal", "said"),
    [
        ((401, {}), "GitHub answers 401 Unauthorized the token is wrong or has expired"),
        ((403, {}), "give the job `permissions: pull-requests: write`"),
        (
            (403, {"x-ratelimit-remaining": "0", "x-ratelimit-reset": "1"}),
            "rate limit is reached (403) try again in 0 s",
        ),
        ((403, {"retry-after": "60"}), "rate limit is reached (403) try again in 60 s"),
        ((429, {}), "rate limit is reached (429) try again later"),
        ((404, {}), "there is none that the token can see"),
        ((422, {}), "it does not take this comment"),
        ((500, {}), "GitHub answers 500 Internal Server Error try again later"),
        ((301, {"Location": "/elsewhere"}), "the repository was renamed or moved"),
    ],
)
def test_what_github_refuses_is_said_with_what_to_do(page, github, job, capsys, refusal, said):
    github.refusal = refusal
    assert main(["ci", "comment", str(page)]) == 1
    told = capsys.readouterr()
    assert said in " ".join(told.err.split())
    assert "pull request 7 of octocat/films" in told.err
    assert job["GITHUB_TOKEN"] not in told.out + told.err
    assert len(github.asked) == 1, "nothing is asked twice, and nobody else is asked"


def test_a_wrong_token_is_refused_and_not_shown(page, monkeypatch, capsys):
    monkeypatch.setenv("GITHUB_TOKEN", "ghs_" + "f" * 20)
    assert main(["ci", "comment", str(page)]) == 1
    told = capsys.readouterr()
    assert "401" in told.err
    assert "ffff" not in told.out + told.err


def test_a_network_that_is_not_there(page, monkeypatch, capsys):
    monkeypatch.setenv("GITHUB_API_URL", "http://127.0.0.1:9")
    assert main(["ci", "comment", str(page)]) == 1
    assert "http://127.0.0.1:9: cannot be reached" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("GITHUB_TOKEN", None, "no comment: there is no token"),
        ("GITHUB_TOKEN", "", "no comment: there is no token"),
        ("GITHUB_EVENT_PATH", None, "no comment: this is no job of GitHub"),
        ("GITHUB_EVENT_PATH", str(EVENTS / "push.json"), "no comment: the job's event is about no pull request"),
    ],
)
def test_nothing_to_comment_on_is_no_error(page, github, monkeypatch, capsys, name, value, said):
    monkeypatch.delenv(name)
    if value is not None:
        monkeypatch.setenv(name, value)
    assert main(["ci", "comment", str(page)]) == 0
    assert said in capsys.readouterr().out
    assert not github.asked


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("GITHUB_API_URL", "file:///etc/passwd", "cannot be used"),
        ("GITHUB_REPOSITORY", "octocat/films/../secrets", "cannot be used"),
        ("GITHUB_TOKEN", "two\nlines", "the token holds blanks"),
        ("GITHUB_EVENT_PATH", "nowhere.json", "there is no such file"),
    ],
)
def test_an_environment_that_cannot_be_right_is_said(page, github, monkeypatch, capsys, name, value, said):
    monkeypatch.setenv(name, value)
    assert main(["ci", "comment", str(page)]) == 1
    assert said in capsys.readouterr().err
    assert not github.asked


def test_a_comment_on_a_pull_request_starts_a_job_on_it(page, github, monkeypatch, capsys):
    monkeypatch.setenv("GITHUB_EVENT_PATH", str(EVENTS / "issue_comment.json"))
    assert main(["ci", "comment", str(page)]) == 1  # the stand-in knows number 7 alone
    assert "pull request 9 of octocat/films" in capsys.readouterr().err


@pytest.mark.parametrize("name", ["a --> b", "", "x" * 61, "a--b"])
def test_a_name_that_would_end_the_mark_is_refused(page, github, capsys, name):
    assert main(["ci", "comment", str(page), f"--name={name}"]) == 1
    assert "cannot be hidden in a comment" in capsys.readouterr().err
    assert not github.asked
