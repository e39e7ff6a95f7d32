"""A git ref beside what lies here: in a worktree of its own, and on request in an environment of its own.

The worktree lies in the system's temporary folder and is removed at the end. Both versions import their own code: the
top of their tree and its `src/` come first on the path, before whatever is installed.
"""

from __future__ import annotations

import contextlib
import os
import shlex
import shutil
import subprocess
import sys
import sysconfig
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from pytest_vdb import files
from pytest_vdb.cli.printing import add_last_lines
from pytest_vdb.errors import OptionError, UnknownName

_WRITTEN_BY_RUNS = "reports"
"""The default output folder, which is no change of anybody's."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Trees:
    """The working tree as it is, and a ref."""

    head: Path
    """The top of the working tree."""
    base: Path
    """The top of the ref's own."""
    below: Path
    """Where in them the command was typed."""
    reference: str
    commit: str
    """Of the ref."""
    head_commit: str
    changed: int
    """How many files of the working tree are not as committed, new ones included."""
    place: Path
    """A temporary folder of our own."""

    @property
    def in_words(self) -> str:
        """What is compared with what."""
        from pytest_vdb.reporters.text import counted

        uncommitted = f" with {counted(self.changed, 'uncommitted change')}" if self.changed else ""
        head = f"the working tree at {self.head_commit[:10]}{uncommitted}"
        if self.commit == self.head_commit and not self.changed:
            head += ": the same commit, so this measures the noise"
        return f"base: {self.reference} ({self.commit[:10]}); head: {head}"


@contextlib.contextmanager
def beside(reference: str) -> Iterator[Trees]:
    """A ref's worktree, until the block ends.

    Raises:
        OptionError: no git, no repository, or the ref cannot be checked out.
        UnknownName: no such ref.
    """
    top = Path(_git_says(["rev-parse", "--show-toplevel"], mend="vdb ab --ref is typed in a git repository"))
    below = Path(_git_says(["rev-parse", "--show-prefix"]) or ".")
    commit = _commit_of_ref(reference)
    place = Path(tempfile.mkdtemp(prefix="vdb-ab-")).resolve()
    try:
        _git_says(["worktree", "add", "--detach", "--quiet", str(place / "base"), commit])
        yield Trees(
            head=top,
            base=place / "base",
            below=below,
            reference=reference,
            commit=commit,
            head_commit=_git_says(["rev-parse", "HEAD"]),
            changed=len(_git_says(["status", "--porcelain", "--", ":/", f":(exclude){_WRITTEN_BY_RUNS}"]).splitlines()),
            place=place,
        )
    finally:
        _ran_git(["worktree", "remove", "--force", str(place / "base")])
        shutil.rmtree(place, ignore_errors=True)
        _ran_git(["worktree", "prune"])


def version_of_tracked_files() -> str:
    """Changes with the commit and with every edit of the working tree's tracked files."""
    return _git_says(["rev-parse", "HEAD"]) + _git_says(["diff", "HEAD", "--no-ext-diff"])


def path_of(tree: Path, trees: Trees) -> str:
    """`PYTHONPATH` of a tree: its own code first, then this process's path, where that leads into the working tree into
    the same folder of this one."""
    inherited = [Path(place).absolute() for place in os.environ.get("PYTHONPATH", "").split(os.pathsep) if place]
    own = [place for place in (tree / "src", tree) if files.is_folder(place)]
    moved = [tree / place.relative_to(trees.head) if place.is_relative_to(trees.head) else place for place in inherited]
    return os.pathsep.join(dict.fromkeys(map(str, (*own, *moved))))


def environment_of(tree: Path, place: Path, install: Sequence[str]) -> Mapping[str, str]:
    """Variables of an environment of a tree's own: what is installed here, and over it what `install` installs.

    Args:
        tree: where `install` runs.
        place: the environment's folder, which is made.

    Raises:
        OptionError: it cannot be made, or the installation failed.
    """
    _must_work([sys.executable, "-m", "venv", str(place)], tree, os.environ, "no environment can be made")
    folders = {sysconfig.get_path(name) for name in ("purelib", "platlib")}
    own = Path(sysconfig.get_path("purelib", "venv", vars={"base": str(place), "platbase": str(place)}))
    opened = "; ".join(f"site.addsitedir({folder!r})" for folder in sorted(folders))
    files.write(own / "_what_is_installed_here.pth", f"import site; {opened}\n")
    programs = Path(sysconfig.get_path("scripts", "venv", vars={"base": str(place)}))
    path = os.pathsep.join([str(programs), os.environ.get("PATH", os.defpath)])
    variables = {"PATH": path, "VIRTUAL_ENV": str(place)}
    _must_work(install, tree, {**os.environ, **variables}, f"{shlex.join(install)} failed")
    return variables


def _commit_of_ref(reference: str) -> str:
    done = _ran_git(["rev-parse", "--verify", "--quiet", "--end-of-options", f"{reference}^{{commit}}"])
    if done.returncode == 0:
        return done.stdout.strip()
    known = _ran_git(["for-each-ref", "--format=%(refname:short)"]).stdout.split()
    mend = "Give a branch, tag or commit; a shallow clone has few of them (git fetch origin BRANCH:BRANCH)."
    raise UnknownName("git ref", reference, known, where="--ref", mend=mend)


def _ran_git(arguments: Sequence[str]) -> subprocess.CompletedProcess[str]:
    """Hooks of the repository are for people at work, and not run."""
    try:
        return subprocess.run(
            ["git", "-c", f"core.hooksPath={os.devnull}", *arguments], capture_output=True, text=True, check=False
        )
    except OSError as problem:
        mend = "install git, or give both commands: vdb ab -- CMD_A -- CMD_B"
        raise OptionError(f"git cannot be started: {problem.strerror}", where="--ref", mend=mend) from problem


def _git_says(arguments: Sequence[str], *, mend: str = "see what git says") -> str:
    done = _ran_git(arguments)
    if done.returncode != 0:
        said = done.stderr.strip().splitlines()
        raise OptionError(said[-1] if said else "git failed", where="--ref", mend=mend)
    return done.stdout.removesuffix("\n")


def _must_work(command: Sequence[str], folder: Path, environment: Mapping[str, str], complaint: str) -> None:
    try:
        done = subprocess.run(
            list(command),
            cwd=folder,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            check=False,
        )
    except OSError as problem:
        raise OptionError(
            f"{complaint}: {problem.strerror}", where="--install", mend="give a command that runs"
        ) from None
    if done.returncode != 0:
        error = OptionError(
            f"{complaint} (exit status {done.returncode})", where="--install", mend=f"it ran in {folder}"
        )
        add_last_lines(error, done.stdout)
        raise error
