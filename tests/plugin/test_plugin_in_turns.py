"""`--vdb-ab REF`: the session hands over to `vdb ab`, and ends as it ends."""

from __future__ import annotations

import os
import subprocess

import pytest

from pytest_vdb.plugin.in_turns import without

FAIL_ON = "--vdb-fail-on=brightness:-2%"


def test_what_vdb_ab_takes_for_itself_is_left_out_with_its_value():
    given = ["-k", "x", "--vdb-ab", "main", "--vdb-strict", "--vdb-output=out", "--vdb-fail-on", "a:1%", "tests", "-n2"]
    assert without(["ab", "strict", "output", "fail-on"], given) == ["-k", "x", "tests", "-n2"]
    assert without(["ab"], ["--vdb-abc", "--vdb-ab=main"]) == ["--vdb-abc"]
    assert without(["ab"], ["--vdb-ab"]) == []


@pytest.fixture
def committed(project, monkeypatch):
    """The project as the branch `main` of a repository."""
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", os.devnull)
    (project.path / ".gitignore").write_text("reports/\ncache/\n__pycache__/\n")
    (project.path / "six.txt").write_text("one\ntwo\nthree\nfour\nfive\nsix\n")
    who = ("-c", "user.name=me", "-c", "user.email=me@localhost")
    for words in (("init", "-q", "-b", "main"), ("add", "-A"), (*who, "commit", "-q", "-m", "first")):
        subprocess.run(["git", *words], cwd=project.path, check=True)
    return project


@pytest.mark.slow
def test_a_worse_picture_regresses_beside_the_ref_and_the_exit_code_says_so(committed):
    conftest = committed.path / "conftest.py"
    conftest.write_text(conftest.read_text().replace("integers(0, 256", "integers(0, 200"))
    options = ("--vdb-ab", "main", "--vdb-ab-blocks=1", FAIL_ON, "--vdb-prompts=six.txt", "test_generation.py")
    result = committed.run_in_subprocess("good", *options)
    assert result.ret == 1
    result.stdout.fnmatch_lines(["FAILED regressed*brightness of good*", "1 regressed"])
    result.stderr.fnmatch_lines(["*base: main*uncommitted change*", "*block 1 of 1, head: 6 tests*"])
    assert len(list((committed.path / "reports" / "ab").glob("*/001-*/runs/*/run.json"))) == 2


@pytest.mark.slow
def test_what_is_not_asked_rightly_is_an_error_of_usage(committed):
    result = committed.run_in_subprocess("good", "--vdb-ab=mian", FAIL_ON, "test_generation.py")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(["*unknown git ref 'mian'", "*did you mean 'main'?*"])
