"""A token, a user, a host and a home folder are planted wherever a session could meet them: no file tells them."""

from __future__ import annotations

import os
import platform
import subprocess
import sys
from pathlib import Path

import pytest

from pytest_vdb.results import journal

pytestmark = pytest.mark.slow  # whole sessions

USER = "zaphod-b"
TOKENS = {"argv": "v0g0n-p0etry-42", "env": "b4belfish-s3cret", "ini": "m4grathea-pl4net", "address": "pangalactic-pw"}

CONFTEST = '''
    """A model and a metric that tell all they know when something goes wrong."""
    import os
    from pathlib import Path
    import numpy as np
    import pytest
    from pytest_vdb import Clip, metric, model
    from pytest_vdb.errors import CannotMeasure

    def pytest_addoption(parser):
        parser.addoption("--api-token")
        parser.addini("upload_password", "of somebody else's plugin")

    def pytest_configure(config):
        os.environ["TOLD"] = f"{config.getoption('--api-token')} {config.getini('upload_password')}"

    def everything():
        told = f"{os.environ['TOLD']} {os.environ['HUB_SECRET_KEY']} https://me:ADDRESS@hub/x {Path.home()}/weights.bin"
        return f"{told} '{Path.home()}/my films/x.mp4' {__file__} of {os.environ['USER']} on {os.uname().nodename}"

    @model("good", frames=4, height=16, width=16, fps=8.0)
    def good(prompt, recipe, seed):
        rng = np.random.default_rng(seed)
        return Clip(rng.integers(0, 256, (recipe.frames, recipe.height, recipe.width, 3), np.uint8), recipe.fps)

    @model("raises", frames=4, height=16, width=16, fps=8.0)
    def raises(prompt, recipe, seed):
        raise RuntimeError(everything())

    @metric("brightness", unit="1", better="higher")
    def brightness(clip: Clip) -> float:
        return float(clip.frames.mean() / 255)

    @metric("absent", unit="1", better="higher")
    def absent(clip: Clip) -> float:
        raise CannotMeasure(everything())
'''.replace("ADDRESS", TOKENS["address"])
TEST = """
    def test_generation(vdb, vdb_model, vdb_prompt, vdb_seed):
        from conftest import everything
        vdb.note(everything())
        token, folder = everything(), __file__
        sample = vdb.generate(vdb_model, vdb_prompt, vdb_seed)
        vdb.measure(sample)
"""


@pytest.fixture(scope="module")
def home(tmp_path_factory) -> Path:
    """A home folder with a project, after a day's work in it."""
    home = tmp_path_factory.mktemp("machine") / "home" / USER
    project = home / "secret-customer" / "project"
    for folder in (project, home / "suites", home / "films"):
        folder.mkdir(parents=True)
    (project / "conftest.py").write_text(_dedented(CONFTEST))
    (project / "test_generation.py").write_text(_dedented(TEST))
    (project / "pytest.ini").write_text(f"[pytest]\nupload_password = {TOKENS['ini']}\n")
    (home / "suites" / "mine.txt").write_text("one\ntwo\n")
    asked = ["--vdb-models=good,raises", f"--vdb-prompts={home}/suites/mine.txt", "--vdb-metrics=brightness,absent"]
    asked += [f"--vdb-cache-dir={home}/cache", "--api-token", TOKENS["argv"], "--showlocals", "--junitxml=../junit.xml"]
    done = _run(home, project, "pytest", "-p", "no:randomly", "-p", "no:cacheprovider", *asked)
    assert "2 failed, 2 passed" in done.stdout, done.stdout + done.stderr
    (run,) = (project / "reports" / "runs").iterdir()
    for clip in (run / "clips").glob("*.mp4"):
        (home / "films" / clip.name).write_bytes(clip.read_bytes())
    (home / "films" / "broken.mp4").write_bytes(b"no video")
    name = f"reports/runs/{run.name}"
    _run(home, project, "pytest_vdb.cli", "score", f"{home}/films", "--metrics", "sharpness", "--tiny")
    _run(home, project, "pytest_vdb.cli", "report", name, "reports/scores/films.jsonl", "-o", "merged")
    _run(home, project, "pytest_vdb.cli", "baseline", "save", name, "-o", "baseline.json")
    _run(home, project, "pytest_vdb.cli", "compare", name, "good", "raises", "-o", "compared.md")
    return home


def _run(home: Path, project: Path, module: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "HOME": str(home), "USER": USER, "LOGNAME": USER, "HUB_SECRET_KEY": TOKENS["env"]}
    environment |= {"HF_HUB_OFFLINE": "1", "VDB_CACHE_DIR": str(home / "cache")}
    environment["GITHUB_STEP_SUMMARY"] = str(project / "summary.md")
    code = "from pytest_vdb.cli import main; raise SystemExit(main())"
    command = [sys.executable, "-m", module] if module == "pytest" else [sys.executable, "-c", code]
    return subprocess.run([*command, *arguments], cwd=project, env=environment, capture_output=True, text=True)


def _dedented(text: str) -> str:
    return "\n".join(line.removeprefix("    ") for line in text.splitlines()) + "\n"


def written(home: Path) -> dict[str, bytes]:
    """What the session and the commands wrote for others to see."""
    project = home / "secret-customer" / "project"
    mine = {"conftest.py", "test_generation.py", "pytest.ini"}
    files = [path for path in project.rglob("*") if path.is_file() and path.name not in mine]
    return {
        path.relative_to(project).as_posix(): path.read_bytes() for path in files if "__pycache__" not in path.parts
    }


def test_no_file_tells_a_token_a_user_a_host_or_a_folder_of_the_machine(home):
    planted = {*TOKENS.values(), USER, str(home), "secret-customer", "my films", str(home.parent.parent)}
    planted |= {platform.node()} if len(platform.node()) > 3 else set()
    for name, content in written(home).items():
        found = {word for word in planted if word.encode() in content}
        assert not found, f"{name} tells {found}"


def test_all_kinds_of_files_were_looked_at(home):
    kinds = {Path(name).name if name.startswith("reports/lead") else Path(name).suffix for name in written(home)}
    assert kinds >= {".json", ".jsonl", ".html", ".tex", ".csv", ".md", ".mp4", ".jpg", "leaderboard.html"}


def test_what_went_wrong_is_still_told(home):
    project = home / "secret-customer" / "project"
    run, records, _ = journal.read(next((project / "reports" / "runs").iterdir()))
    failed = next(record for record in records if record.model == "raises")
    assert failed.failure is not None
    assert failed.failure.message == (
        "*** *** *** https://***@hub/x weights.bin 'x.mp4' conftest.py of <user> on <host>"
        if len(platform.node()) > 3
        else failed.failure.message
    )
    assert "test_generation.py" in str(failed.failure.traceback)
    assert run.options["prompts"] == "mine.txt"
    command = "pytest --vdb-models=good,raises --vdb-prompts=mine.txt --vdb-weights=hub --vdb-metrics=brightness,absent"
    assert run.options["command"] == command.replace(" --vdb-weights=hub", "")
    assert "arguments" not in run.options
    page = (project / "reports" / "leaderboard.html").read_text()
    assert run.options["command"] in page
