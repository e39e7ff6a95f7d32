"""A path means what its place means by it: the shell's folder on the command line, the ini file's folder in it."""

from __future__ import annotations

import pytest

pytestmark = pytest.mark.slow  # whole sessions


def session(project, folder, *arguments):
    """A session of the project as typed in one of its folders."""
    wanted = [
        "-p",
        "no:randomly",
        "-p",
        "no:cacheprovider",
        "--vdb-models=good",
        "--vdb-metrics=brightness",
        *arguments,
    ]
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        return project.pytester.runpytest_subprocess(*wanted)


def written(folder):
    return len(list((folder / "runs").glob("*/records.jsonl")))


@pytest.fixture
def elsewhere(project):
    """A folder beside the project, in which the command is typed."""
    folder = project.path / "elsewhere"
    folder.mkdir()
    (folder / "mine.txt").write_text("one\n")
    return folder


@pytest.mark.parametrize("ini", [None, "[pytest]\nvdb_prompts = three.txt\n"])
@pytest.mark.parametrize("workers", [(), ("-n1",)], ids=["alone", "xdist"])
def test_without_a_word_results_lie_where_the_command_was_typed(project, elsewhere, ini, workers):
    """Also where there is an ini file, which says nothing of them."""
    if ini:
        project.pytester.makeini(ini)
    session(project, elsewhere, "..", "--vdb-prompts=mine.txt", *workers).assert_outcomes(passed=1)
    assert written(elsewhere / "reports") == 1
    assert not (project.path / "reports").exists()


def test_what_the_ini_file_says_lies_where_it_lies(project, elsewhere):
    project.pytester.makeini("[pytest]\nvdb_prompts = three.txt\nvdb_output = results\n")
    session(project, elsewhere, "..").assert_outcomes(passed=3)
    assert written(project.path / "results") == 1


@pytest.mark.parametrize("separator", ["=", " "])
def test_a_path_of_the_command_line_is_relative_to_its_folder_the_second_time_too(project, elsewhere, separator):
    named = {"--vdb-output": "../out", "--vdb-cache-dir": "cached", "--vdb-prompts": "mine.txt"}
    arguments = [word for flag, value in named.items() for word in f"{flag}{separator}{value}".split()]
    for times in (1, 2):
        session(project, elsewhere, "..", *arguments).assert_outcomes(passed=1)
        assert written(project.path / "out") == times
        assert (elsewhere / "cached" / "clips").is_dir()


@pytest.mark.parametrize("workers", [(), ("-n1",)], ids=["alone", "xdist"])
@pytest.mark.parametrize("flag", ["--vdb-output", "--vdb-cache-dir"])
def test_a_value_that_is_a_folder_beside_the_project_leaves_the_project_its_ini_file(project, flag, workers):
    """Without a path to test, pytest would look for the ini file there, and find none."""
    project.pytester.makeini("[pytest]\nvdb_prompts = three.txt\nmarkers = mine: of a user\n")
    beside = project.path.parent / f"{project.path.name}-beside"
    beside.mkdir()
    session(project, project.path, flag, str(beside), "--strict-markers", *workers).assert_outcomes(passed=3)
    assert written(beside if flag == "--vdb-output" else project.path / "reports") == 1


@pytest.mark.parametrize("key", ["addopts = -q", "pythonpath = src"])
def test_an_ini_file_that_pytest_should_have_followed_already_is_named(project, key):
    project.pytester.makeini(f"[pytest]\n{key}\n")
    beside = project.path.parent / f"{project.path.name}-beside"
    beside.mkdir()
    result = session(project, project.path, "--vdb-output", str(beside))
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines([f"*it has followed {key.split()[0]} of no ini file, not of*tox.ini*"])
    result.stderr.fnmatch_lines(["*write options with an equals sign*"])


def test_a_test_has_one_identity_from_wherever_the_command_is_typed(project, elsewhere):
    project.pytester.makeini("[pytest]\n")
    for folder, path in ((project.path, "test_generation.py"), (elsewhere, "..")):
        session(project, folder, path, "--vdb-prompts=smoke:1", "--vdb-output", "out").assert_outcomes(passed=1)
    names = {record.benchmark for out in (project.path, elsewhere) for record in records(out / "out")}
    assert names == {"test_generation.py::test_generation"}


def records(output):
    from pytest_vdb.results import journal

    return [record for run in (output / "runs").iterdir() for record in journal.read(run)[1]]
