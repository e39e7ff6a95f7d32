"""One job in several processes, each with a share of it, where the system forks.

A child begins as its parent stands, so nothing is sent to it; it sends back what it made, and ends. What goes wrong
there is not told: the job is then one process's, which meets the same and says it as ever.
"""

from __future__ import annotations

import _thread
import contextlib
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from mmap import mmap
from typing import TYPE_CHECKING, Any, TypeVar

from pytest_vdb import signals

if TYPE_CHECKING:
    from multiprocessing.connection import Connection
    from multiprocessing.process import BaseProcess

Share = TypeVar("Share")
Made = TypeVar("Made")


def may_fork() -> bool:
    """Whether a child would be whole: libraries of macOS would not, and of several threads only one goes along."""
    return sys.platform == "linux" and threading.active_count() == 1 and _thread._count() == 0


def in_processes(job: Callable[[Share], Made], shares: Sequence[Share]) -> list[Made] | None:
    """What a job makes of each share.

    Args:
        job: what it makes can be pickled; it writes nothing.
        shares: each is a process's own.

    Returns:
        In the order of the shares; None: not all of it came back, because one raised or was killed, or the system does
        not fork.
    """
    if not may_fork():
        return None
    from multiprocessing.connection import wait

    children: dict[Connection, BaseProcess] = {}
    made: dict[Connection, Made] = {}
    try:
        for share in shares:
            end, child = _child_of(job, share)
            children[end] = child
        while len(made) < len(shares):
            ready = wait(end for end in children if end not in made)
            made |= {end: end.recv() for end in children if end in ready}
    except (EOFError, OSError):  # it ended without an answer; or the system has no room for another
        return None
    finally:
        for end, child in children.items():
            child.kill()  # what it made is here, or is not wanted
            child.join()
            end.close()
    return [made[end] for end in children]


@contextlib.contextmanager
def beside(job: Callable[[], Made], *, worth_it: bool = True) -> Iterator[Callable[[], Made]]:
    """Let a child do something while this process does something else.

    Args:
        job: what it makes can be pickled; what it writes, it may write again.
        worth_it: whether it takes long enough for that.

    Yields:
        What waits for what the job made: where it does not come, or the system does not fork, it is done here. Asked
        for or not, the child is at its end when the context is.
    """
    if not (worth_it and may_fork()):
        yield job
        return
    try:
        end, child = _child_of(_done, job)
    except OSError:  # the system has no room for another
        yield job
        return

    def made() -> Made:
        try:
            brought: Made = end.recv()
        except (EOFError, OSError):
            return job()
        return brought

    try:
        yield made
    except BaseException:
        child.terminate()  # it leaves nothing half written
        raise
    finally:
        end.close()
        child.join()


def _done(job: Callable[[], Made]) -> Made:
    return job()


@contextlib.contextmanager
def from_both_ends(
    jobs: Sequence[Callable[[], Made]], *, worth_it: bool = True
) -> Iterator[Callable[[], Sequence[Made]]]:
    """Let a child begin with the last of many jobs, and this process with the first, until they meet.

    Args:
        jobs: as of `beside`, each; where the two meet one may be done twice.
        worth_it: whether they take long enough for that.

    Yields:
        What does this process's part when it is called, and gives what each of the jobs made.
    """
    taken = mmap(-1, max(1, len(jobs)))  # which a child shares with whom it comes from

    def do(places: Iterable[int]) -> dict[int, Made]:
        made = {}
        for at in places:
            if not taken[at]:
                taken[at] = True
                made[at] = jobs[at]()
        return made

    def every() -> Sequence[Made]:
        made = do(range(len(jobs)))
        made |= others()
        # A child that did not come to its end has taken some.
        return [made[at] if at in made else job() for at, job in enumerate(jobs)]

    with taken, beside(lambda: do(reversed(range(len(jobs)))), worth_it=worth_it) as others:
        yield every


def _child_of(job: Callable[[Share], Made], share: Share) -> tuple[Connection, BaseProcess]:
    """Where its answer comes out, and a process that is at work."""
    from multiprocessing import get_context

    context = get_context("fork")
    ours, theirs = context.Pipe(duplex=False)
    child = context.Process(target=_answer_with, args=(job, share, theirs), daemon=True)
    with contextlib.closing(theirs):  # the child has its own; when that is closed, nothing more can come
        signal.pthread_sigmask(signal.SIG_BLOCK, _WAIT)
        try:
            child.start()
        finally:
            signal.pthread_sigmask(signal.SIG_UNBLOCK, _WAIT)
    return ours, child


_WAIT = (signal.SIGINT, *signals.OF_AN_END)
"""Signals that come when a child is ready: before that it would say where it stood in a library."""


def _answer_with(job: Callable[[Any], object], share: object, end: Connection) -> None:
    os.environ.setdefault("OMP_NUM_THREADS", "1")  # for libraries that it will load: the other cores are the others'
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the process that waits, and ends its children
    try:
        with contextlib.suppress(BaseException):  # a signal, too
            signal.pthread_sigmask(signal.SIG_UNBLOCK, _WAIT)
            end.send(job(share))
    finally:
        os._exit(0)
