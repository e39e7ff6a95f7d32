"""A user at a terminal: types commands in a project folder and reads what comes.

A journey is a whole day, as a list of what is typed and what must be seen. The commands run through a shell, in
processes of their own, with the scripts that pip installs; on every screen it is checked that nothing ends in a
traceback.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import textwrap
from dataclasses import dataclass
from pathlib import Path

import pytest

NUMPY_MODELS = '''
import numpy as np
from pytest_vdb import Clip, metric, model

def frames(recipe, seed, spread=256):
    rng = np.random.default_rng(seed)
    return Clip(rng.integers(0, spread, (recipe.frames, recipe.height, recipe.width, 3), np.uint8), recipe.fps)

@model("noise", frames=8, height=32, width=32, fps=8.0)
def noise(prompt, recipe, seed):
    """Uniform noise: the floor that every model must beat."""
    return frames(recipe, seed)

@model("dim", frames=8, height=32, width=32, fps=8.0)
def dim(prompt, recipe, seed):
    """The same noise, darker."""
    return frames(recipe, seed, spread=128)

@metric("spread", unit="1", better="higher")
def spread(clip: Clip) -> float:
    """Standard deviation of all pixels in [0, 1]."""
    return float(clip.frames.std() / 255)
'''
"""Two models of plain numpy: their sessions take a second."""

TEST = """
def test_generation(vdb, vdb_model, vdb_prompt, vdb_seed):
    sample = vdb.generate(vdb_model, vdb_prompt, vdb_seed)
    vdb.check(sample)
    vdb.measure(sample)
"""

TROUBLE = ("Traceback (most recent call last)", "INTERNALERROR", "\x1b[", "Exception ignored")
"""What no screen shows."""


WITHOUT = " ".join(f"-p no:{name}" for name in ("randomly", "html", "html_fixtures", "metadata", "anyio", "pytest_cov"))
"""Plugins of our own tests, which no user needs to have."""


@dataclass(frozen=True)
class Screen:
    """What one command showed."""

    command: str
    status: int
    out: str
    err: str

    @property
    def text(self) -> str:
        """Both streams."""
        return self.out + self.err

    def shows(self, *texts: str) -> Screen:
        """All of these, in any order; blanks and line breaks count as one space."""
        shown = " ".join(self.text.split())
        for text in texts:
            assert " ".join(text.split()) in shown, f"{text!r} is not shown by: {self.command}\n{self.text}"
        return self

    def hides(self, *texts: str) -> Screen:
        """None of these."""
        for text in texts:
            assert text not in self.text, f"{text!r} is shown by: {self.command}\n{self.text}"
        return self

    def ends(self, status: int) -> Screen:
        """With this exit status."""
        assert self.status == status, f"{self.command} ended with {self.status}, not {status}\n{self.text}"
        return self


class User:
    """Works in one folder; `goes` to another."""

    def __init__(self, folder: Path, environment: dict[str, str]) -> None:
        self.folder = folder
        self.environment = environment

    def goes(self, folder: str) -> User:
        """The same user in another folder, which is made."""
        place = (self.folder / folder).resolve()
        place.mkdir(parents=True, exist_ok=True)
        return User(place, self.environment)

    def writes(self, path: str, text: str) -> None:
        """A file of the project."""
        (self.folder / path).parent.mkdir(parents=True, exist_ok=True)
        (self.folder / path).write_text(textwrap.dedent(text), encoding="utf-8")

    def changes(self, path: str, old: str, new: str) -> None:
        """One place of a file."""
        text = (self.folder / path).read_text(encoding="utf-8")
        assert text.count(old) == 1
        (self.folder / path).write_text(text.replace(old, new), encoding="utf-8")

    def reads(self, path: str) -> str:
        """A file of the project."""
        return (self.folder / path).read_text(encoding="utf-8-sig")

    def types(self, command: str, *, patience: float = 300) -> Screen:
        """Run a command line; it must end well unless `ends` is asked of its screen, and within so many seconds."""
        ran = subprocess.run(
            ["bash", "-c", command],
            cwd=self.folder,
            env=self.environment,
            capture_output=True,
            text=True,
            encoding="utf-8",
            timeout=patience,
            check=False,
        )
        screen = Screen(command, ran.returncode, ran.stdout, ran.stderr)
        screen.hides(*TROUBLE)
        return screen

    def begins(self, command: str) -> subprocess.Popen[str]:
        """Run a command without waiting for its end, in a process group of its own."""
        return subprocess.Popen(
            ["bash", "-c", f"exec {command}"],
            cwd=self.folder,
            env=self.environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )

    def runs(self) -> list[str]:
        """The runs of this folder, the oldest first."""
        return sorted(str(path.relative_to(self.folder)) for path in (self.folder / "reports" / "runs").iterdir())


@pytest.fixture(scope="session")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Tiny weights, shared by all journeys and workers: building them is not what a journey is about."""
    base = tmp_path_factory.getbasetemp()
    return (base.parent if os.environ.get("PYTEST_XDIST_WORKER") else base) / "journeys-cache"


@pytest.fixture
def user(tmp_path: Path, cache: Path) -> User:
    """In an empty folder, with an empty home, offline."""
    scripts = Path(sys.executable).parent
    kept = {name: os.environ[name] for name in ("PYTHONPATH", "LD_LIBRARY_PATH", "SYSTEMROOT") if name in os.environ}
    home, folder = tmp_path / "home", tmp_path / "project"
    home.mkdir()
    folder.mkdir()
    return User(
        folder,
        kept
        | {
            "PATH": os.pathsep.join([str(scripts), "/usr/local/bin", "/usr/bin", "/bin"]),
            "HOME": str(home),
            "LANG": "C.UTF-8",
            "COLUMNS": "120",
            "VDB_CACHE_DIR": str(tmp_path / "cache"),
            "HF_HUB_OFFLINE": "1",
            "OMP_NUM_THREADS": "1",
            "PYTHONDONTWRITEBYTECODE": "1",
            "PYTEST_ADDOPTS": WITHOUT,
        },
    )


@pytest.fixture
def project(user: User) -> User:
    """In a small project of their own: two numpy models in the root's conftest and one benchmark."""
    user.writes("conftest.py", NUMPY_MODELS)
    user.writes("benchmarks/test_generation.py", TEST)
    return user


@pytest.fixture
def with_tiny_weights(user: User, cache: Path) -> User:
    """With the tiny weights that other journeys built, and clips of one's own."""
    (cache / "weights").mkdir(parents=True, exist_ok=True)
    own = Path(user.environment["VDB_CACHE_DIR"])
    own.mkdir()
    (own / "weights").symlink_to(cache / "weights")
    return user


def suite() -> Path:
    """The benchmarks of the repository."""
    return Path(__file__).parent.parent.parent / "benchmarks"


@pytest.fixture
def clone(with_tiny_weights: User) -> User:
    """In a clone of the repository, as far as its first command is concerned."""
    shutil.copytree(
        suite(), with_tiny_weights.folder / "benchmarks", ignore=shutil.ignore_patterns("perf", "__pycache__")
    )
    return with_tiny_weights
