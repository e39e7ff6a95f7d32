"""Build the wheel and the sdist, install each in an environment of its own and use it as a newcomer does.

    python .ci/package.py [--system-site-packages]

The wheel is tried outside the project: its suite runs in an empty folder, its commands answer. Of the sdist a wheel is
built again, which must hold the same files, and the tests that travel in it are collected. With
`--system-site-packages` the dependencies come from the Python at hand instead of from an index.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tarfile
import tempfile
import venv
import zipfile
from pathlib import Path

PROJECT = Path(__file__).parent.parent


def main() -> None:
    """Exits with the status of the first command that fails."""
    share = "--system-site-packages" in sys.argv[1:]
    with tempfile.TemporaryDirectory(prefix="vdb-package-") as folder:
        place = Path(folder)
        call(sys.executable, "-m", "build", "--outdir", place / "dist", PROJECT)
        (wheel,), (sdist,) = (place / "dist").glob("*.whl"), (place / "dist").glob("*.tar.gz")
        scripts = installed(wheel, place / "env", share)
        try_wheel(scripts, place / "empty")
        try_sdist(scripts, sdist, wheel, place / "unpacked")
    print(f"{wheel.name} and {sdist.name}: built, installed, tried")


def installed(wheel: Path, environment: Path, share: bool) -> Path:
    """The scripts of a new environment that holds the wheel and what it needs."""
    venv.create(environment, with_pip=True, system_site_packages=share)
    scripts = environment / ("Scripts" if os.name == "nt" else "bin")
    call(scripts / "python", "-m", "pip", "install", "-q", wheel)
    return scripts


def try_wheel(scripts: Path, empty: Path) -> None:
    """In a folder with nothing in it: the shipped suite runs, and the page it makes is there."""
    empty.mkdir()
    call(scripts / "vdb", "--version", cwd=empty)
    call(scripts / "vdb", "run", cwd=empty)
    page = empty / "reports" / "leaderboard.html"
    assert page.stat().st_size > 10_000, page


def try_sdist(scripts: Path, sdist: Path, wheel: Path, unpacked: Path) -> None:
    """What it holds makes the same wheel, and its tests are found."""
    with tarfile.open(sdist) as archive:
        archive.extractall(unpacked, filter="data")
    (source,) = unpacked.iterdir()
    call(sys.executable, "-m", "build", "--wheel", "--outdir", unpacked / "dist", source)
    (again,) = (unpacked / "dist").glob("*.whl")
    missing = set(members(wheel)) ^ set(members(again))
    assert not missing, f"the wheel of the sdist differs from that of the project in {sorted(missing)}"
    call(scripts / "python", "-m", "pytest", "-q", "tests/test_records.py", "tests/analysis", cwd=source)


def members(wheel: Path) -> list[str]:
    """The files of a wheel, but for the list of them."""
    return [name for name in zipfile.ZipFile(wheel).namelist() if not name.endswith("RECORD")]


def call(*command: str | Path, cwd: Path | None = None) -> None:
    """Run a command and show it."""
    print("$", *command, flush=True)
    done = subprocess.run(command, cwd=cwd, check=False)
    if done.returncode:
        sys.exit(done.returncode)


if __name__ == "__main__":
    main()
