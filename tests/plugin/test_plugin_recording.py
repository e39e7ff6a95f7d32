"""What a session leaves behind: records, whatever became of the tests."""

from __future__ import annotations

import json

import pytest

from pytest_vdb.results import journal

pytestmark = pytest.mark.slow  # whole sessions


def statuses(records):
    return {(record.model, record.prompt_text): record.status for record in records}


def test_each_pair_leaves_a_record_with_its_identity_and_values(project):
    project.run("good").assert_outcomes(passed=3)
    run, records = project.read()
    assert [record.prompt_text for record in records] == ["one", "two", "three"]
    for record in records:
        assert record.status == "passed"
        assert record.recipe["frames"] == 4
        assert record.recipe_digest in run.recipes
        assert record.measurement("brightness").value is not None
        assert record.measurement("latency").value > 0
        assert (project.runs()[-1] / record.clip.preview).is_file()
        assert (project.runs()[-1] / record.clip.poster).is_file()
    assert run.summary["statuses"] == {"passed": 3}
    assert run.exit_status == 0


def test_each_line_of_a_small_session_says_everything_and_those_of_a_large_one_what_is_their_own(project, monkeypatch):
    def lines():
        text = (project.runs()[-1] / "records.jsonl").read_text(encoding="utf-8")
        return [json.loads(line) for line in text.splitlines()]

    project.run("good").assert_outcomes(passed=3)
    assert [line["seed"] for line in lines()] == [record.seed for record in project.records()]
    assert {line["schema"] for line in lines()} == {1}
    monkeypatch.setattr(journal, "MOST_IN_FULL", 2)
    project.run("good").assert_outcomes(passed=3)
    assert len(lines()) > 3
    assert {line["schema"] for line in lines()} == {2}
    assert len(project.records()) == 3


def test_seeds_depend_on_the_prompt_and_the_sample_alone(project):
    project.run("good,also-good", "--vdb-samples=2").assert_outcomes(passed=12)
    seeds = {}
    for record in project.records():
        seeds.setdefault((record.prompt, record.sample_index), set()).add(record.seed)
    assert all(len(found) == 1 for found in seeds.values())
    assert len({seed for (seed,) in seeds.values()}) == 6


def test_what_is_wrong_with_a_clip_fails_its_test_and_is_recorded(project):
    result = project.run("constant,short,raises,out-of-memory")
    result.assert_outcomes(failed=12)
    result.stdout.fnmatch_lines(["*one constant colour*", "*frames: asked for 4, got 3*", "*the sampler diverged*"])
    by_model = {record.model: record for record in project.records()}
    assert by_model["constant"].status == "failed"
    assert by_model["raises"].failure.message == "the sampler diverged"
    assert by_model["out-of-memory"].status == "oom"
    assert by_model["out-of-memory"].measurement("peak_rss").value > 0


def test_a_model_that_does_not_load_fails_once_and_its_other_tests_say_so(project):
    result = project.run("no-load,good", "-rs")
    result.assert_outcomes(failed=1, skipped=2, passed=3)
    result.stdout.fnmatch_lines(["*not run: no-load did not load earlier*the checkpoint is truncated*"])
    assert statuses(project.records())["no-load", "two"] == "not_run"


def test_a_second_run_reuses_the_clips_but_not_their_latency(project):
    project.run("good").assert_outcomes(passed=3)
    first = project.records()
    project.run("good").assert_outcomes(passed=3)
    for before, after in zip(first, project.records(), strict=True):
        assert after.reused_from == before.run
        assert after.clip.digest == before.clip.digest
        assert after.measurement("brightness").value == before.measurement("brightness").value
        assert after.measurement("latency").value is None
        assert f"reused from run {before.run}" in after.measurement("latency").reason


def test_cache_always_generates_anew_and_only_cache_generates_nothing(project):
    project.run("good", "--vdb-cache=only-cache", "-rs").assert_outcomes(skipped=3)
    project.run("good", "--vdb-cache=always").assert_outcomes(passed=3)
    project.run("good", "--vdb-cache=always").assert_outcomes(passed=3)
    assert all(record.reused_from is None for record in project.records())
    project.run("good", "--vdb-cache=only-cache").assert_outcomes(passed=3)


def test_an_edited_model_is_not_answered_from_the_cache(project):
    project.run("good").assert_outcomes(passed=3)
    conftest = project.path / "conftest.py"
    conftest.write_text(conftest.read_text() + "\n# a change\n")
    project.run_in_subprocess("good").assert_outcomes(passed=3)
    assert all(record.reused_from is None for record in project.records())


def test_records_survive_a_session_that_is_killed(project):
    result = project.run_in_subprocess("good,kills-its-worker,also-good")
    assert result.ret == -9
    records, warnings = journal.read_records(project.runs()[-1] / "records.jsonl")
    assert ([record.model for record in records], warnings) == (["good"] * 3, [])
    project.run_in_subprocess("good,also-good").assert_outcomes(passed=6)
    reused = [record.model for record in project.records() if record.reused_from]
    assert reused == ["good"] * 3


def test_the_tests_of_a_model_run_in_a_row_whatever_file_they_are_in(project):
    (project.path / "test_more.py").write_text(
        (project.path / "test_generation.py").read_text().replace("_gen", "_more")
    )
    project.run_in_subprocess("good,also-good").assert_outcomes(passed=12)
    models = [record.model for record in project.records()]
    assert models == ["good"] * 6 + ["also-good"] * 6


def test_the_test_that_frees_a_model_runs_after_the_models_others(project):
    (project.path / "test_and_free.py").write_text(
        "import pytest\n\n@pytest.mark.vdb_frees_model\ndef test_and_free(vdb, vdb_model):\n    vdb_model.load()\n"
    )
    project.run_in_subprocess("good,also-good", "--strict-markers").assert_outcomes(passed=8)
    ran = [(record.model, record.benchmark_name) for record in project.records()]
    assert [place for place, (_, benchmark) in enumerate(ran) if benchmark == "test_and_free"] == [3, 7]
    assert [model for model, _ in ran] == ["good"] * 4 + ["also-good"] * 4


def test_order_changes_no_value(project):
    project.run("good,also-good", "--vdb-cache=never").assert_outcomes(passed=6)
    forwards = {record.nodeid: record for record in project.records()}
    (project.path / "conftest.py").open("a").write("\ndef pytest_collection_modifyitems(items):\n    items.reverse()\n")
    project.run_in_subprocess("good,also-good", "--vdb-cache=never").assert_outcomes(passed=6)
    backwards = {record.nodeid: record for record in project.records()}
    assert list(backwards) == list(reversed(forwards))
    for nodeid, record in forwards.items():
        assert backwards[nodeid].clip.digest == record.clip.digest
        assert backwards[nodeid].measurement("brightness") == record.measurement("brightness")


def test_names_from_outside_stay_inside_the_output_folder(project):
    project.pytester.makeconftest(
        """
        import numpy as np
        from pytest_vdb import Clip, model

        for name in ("../../escaped", "<script>alert(1)</script>", "a_b%$&", "/etc/passwd"):
            @model(name, frames=2, height=8, width=8, fps=8.0)
            def answer(prompt, recipe, seed):
                return Clip(np.random.default_rng(seed).integers(0, 256, (2, 8, 8, 3), np.uint8), 8.0)
            globals()["model_" + str(len(globals()))] = answer
        """
    )
    prompts = project.path / "odd.jsonl"
    prompts.write_text('{"id": "../../../p", "text": "one"}\n{"id": "<b>&", "text": "two"}\n')
    before = set(project.path.parent.rglob("*"))
    names = "../../escaped,<script>alert(1)</script>,a_b%$&,/etc/passwd"
    arguments = [*project.arguments(names), "--vdb-prompts=odd.jsonl", "--vdb-report=all", "--vdb-metrics=none"]
    project.pytester.runpytest_subprocess(*arguments).assert_outcomes(passed=8)
    outside = {path for path in set(project.path.parent.rglob("*")) - before if project.path not in path.parents}
    assert not {path for path in outside if path.is_file() and path.name not in {"stdout", "stderr"}}
    html = (project.path / "reports" / "leaderboard.html").read_text()
    assert "<script>alert" not in html
    assert "a_b%" not in (project.path / "reports" / "leaderboard.tex").read_text()


def test_the_run_keeps_what_the_users_own_metrics_can_be(project):
    conftest = project.path / "conftest.py"
    project.run("good").assert_outcomes(passed=3)
    assert project.read()[0].bounds == {}
    told = conftest.read_text().replace('"brightness", unit="1",', '"brightness", unit="1", bounds=(0, 1),')
    conftest.write_text(told)
    project.run_in_subprocess("good", "-n2").assert_outcomes(passed=3)
    assert project.read()[0].bounds == {"brightness": (0, 1)}


def test_set_metrics_are_computed_from_what_the_tests_kept(project):
    conftest = project.path / "conftest.py"
    conftest.write_text(
        conftest.read_text()
        + "\n\nfrom pytest_vdb import Score\n\n"
        + '@metric("image_spread", unit="1", better="higher")\n'
        + "def image_spread(clip_image_set):\n"
        + "    import numpy as np\n"
        + "    return Score(float(np.concatenate(clip_image_set).std()), n=len(clip_image_set))\n"
    )
    arguments = [*project.arguments("good,also-good", "-n2"), "--vdb-metrics=image_spread", "--vdb-weights=tiny"]
    project.pytester.runpytest_subprocess(*arguments).assert_outcomes(passed=6)
    sets = {record.model: record for record in project.records() if record.nodeid.startswith("vdb-sets")}
    assert sets.keys() == {"good", "also-good"}
    for record in sets.values():
        measured = record.measurement("image_spread")
        assert measured.value > 0
        assert measured.n == 3
        assert measured.wiring


def test_the_default_compares_pairs_only_where_a_test_has_a_reference(project):
    project.pytester.makepyfile(
        test_pairs="""
        def test_pairs(vdb, vdb_model, vdb_prompt):
            made = vdb.generate(vdb_model, vdb_prompt)
            assert "psnr" not in vdb.scores(made)
            assert "psnr" not in vdb.metrics_that_order("jpeg")
            other = vdb.generate("also-good", vdb_prompt)
            assert vdb.scores(made, reference=other.clip)["psnr"].value > 0
            assert "psnr" in vdb.metrics_that_order("jpeg", with_reference=True)
            vdb.measure(made, reference=other.clip)
        """
    )
    result = project.run("good", "--vdb-metrics=default,brightness", "-k", "test_pairs")
    result.assert_outcomes(passed=3, deselected=3)
    for record in project.records():
        assert record.measurement("psnr").value > 0
        assert record.measurement("sharpness").value is not None


def test_a_run_with_vbenchs_dimensions_leaves_its_result_file(project):
    metrics = "--vdb-metrics=brightness,vbench.temporal_flickering"
    project.run("good", metrics, "--vdb-report=vbench", "--vdb-weights=random").assert_outcomes(passed=3)
    (written,) = (project.path / "reports" / "vbench").iterdir()
    assert written.name == "good_eval_results.json"
    mean, videos = json.loads(written.read_text())["temporal_flickering"]
    assert {video["video_path"] for video in videos} == {"one-0.mp4", "two-0.mp4", "three-0.mp4"}
    assert 0.6 < mean < 0.7  # noise


def test_a_run_without_them_leaves_none(project):
    project.run("good", "--vdb-report=vbench,csv").assert_outcomes(passed=3)
    assert not (project.path / "reports" / "vbench").exists()
    assert (project.path / "reports" / "leaderboard.csv").exists()
