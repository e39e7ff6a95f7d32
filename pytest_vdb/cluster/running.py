"""One shard, run here: an ordinary session of pytest in a process of its own. All that an engine has to call."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field

from pytest_vdb.cluster.jobs import DIES_WITH, ENDED_WELL
from pytest_vdb.errors import ShardDied

LAST_LINES = 12
"""Of what a session said that died."""
_GRACE_S = 20.0
"""How long a session that is told to go may take to say so and to store what it has."""
_LOOKS_UP_S = 0.2
_UNBUFFERED = {"PYTHONUNBUFFERED": "1"}
"""What a session says is there when it is killed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Task:
    """All that is needed to run one shard anywhere; engines carry it, and look at none of it."""

    address: str
    """The shard's, as `--vdb-shard` takes it."""
    arguments: tuple[str, ...]
    """pytest's."""
    folder: str
    """Where the session is started."""
    environment: Mapping[str, str] = field(default_factory=dict)
    """Added to that of whoever runs it."""


def run_shard(
    task: Task, environment: Mapping[str, str] | None = None, must_stop: Callable[[], bool] = lambda: False
) -> int:
    """Run a session on a shard until it ends; a session that this process leaves behind ends by itself.

    Args:
        task: what to run.
        environment: added to this process's own.
        must_stop: asked several times a second whether to end the session.

    Returns:
        The exit status, one of `ENDED_WELL`.

    Raises:
        ShardDied: it ended otherwise; it shall be tried again.
    """
    with tempfile.TemporaryDirectory(prefix="vdb-shard-") as output:
        own = [f"--vdb-shard={task.address}", f"--vdb-output={output}", "--vdb-report=none"]
        own += ["-o", f"cache_dir={output}/cache"]  # of its own: without one pytest takes none of --ff, --nf, --sw
        own.append("--maxfail=0")  # also where a project's addopts say -x: a shard is finished when all its tests ran
        with tempfile.TemporaryFile() as said:
            process = subprocess.Popen(
                [sys.executable, "-m", "pytest", *task.arguments, *own],
                cwd=task.folder,
                env={
                    **os.environ,
                    **task.environment,
                    **(environment or {}),
                    DIES_WITH: str(os.getpid()),
                    **_UNBUFFERED,
                },
                stdin=subprocess.DEVNULL,
                stdout=said,
                stderr=subprocess.STDOUT,
                start_new_session=True,  # a Ctrl-C is for whoever started it, who tells it
            )
            with _ended_with_this_thread(process):
                while process.poll() is None:
                    if must_stop():
                        raise ShardDied("its session was told to go", where=task.address)
                    with contextlib.suppress(subprocess.TimeoutExpired):
                        process.wait(_LOOKS_UP_S)
            said.seek(0)
            text = said.read().decode("utf-8", "replace")
    if process.returncode not in ENDED_WELL:
        what = f"its session ended with {_end_in_words(process.returncode)}{_last_lines(text)}"
        raise ShardDied(what, where=task.address)
    return process.returncode


def _end_in_words(status: int) -> str:
    return signal.Signals(-status).name if -status in set(signal.Signals) else f"status {status}"


def _last_lines(text: str) -> str:
    last = text.rstrip().splitlines()[-LAST_LINES:]
    return "".join(f"\n  | {line}" for line in last)


@contextlib.contextmanager
def _ended_with_this_thread(process: subprocess.Popen[bytes]) -> Iterator[None]:
    """Whatever ends the wait ends the session: told first, killed after its grace."""
    try:
        yield
    except BaseException:
        _stop_session(process)
        raise


def _stop_session(process: subprocess.Popen[bytes]) -> None:
    """Tell a session to go, and kill it if it does not; its workers end with it."""
    process.terminate()
    try:
        process.wait(_GRACE_S)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
