"""One job in several processes: all that they made comes back in order, or it is said that it did not.

Each test is a process of its own: that of the tests has threads, and then nothing forks.
"""

import os
import subprocess
import sys
import time

import pytest

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="only Linux forks with all its libraries whole")


def printed(job: str, shares: str, before: str = "", **environment: str) -> str:
    """What comes back, or `None`; nothing may be said besides."""
    lines = (
        "import os, signal, sys, threading, time",
        "from pytest_vdb.processes import in_processes",
        before,
        f"print(in_processes(lambda share: {job}, {shares}))",
    )
    unset = {name: value for name, value in os.environ.items() if name != "OMP_NUM_THREADS"}
    command = [sys.executable, "-c", "\n".join(lines)]
    ran = subprocess.run(command, capture_output=True, text=True, check=True, env=unset | environment)
    assert not ran.stderr
    return ran.stdout.strip()


def test_what_each_made_comes_back_in_the_order_of_the_shares():
    assert printed("(time.sleep(0.2 - share / 10), share * 7)[1]", "[0, 1, 2]") == "[0, 7, 14]"
    assert printed("len({os.getpid(), os.getppid()}) * share", "'ab'") == "['aa', 'bb']"
    assert printed("(os.getppid() == parent, len(b'x' * share))", "[1, 1_000_000]", "parent = os.getpid()") == (
        "[(True, 1), (True, 1000000)]"
    )


@pytest.mark.parametrize(
    "job",
    [
        "1 / share",
        "sys.exit(3)",
        "signal.raise_signal(signal.SIGINT)",
        "os.kill(os.getpid(), signal.SIGKILL)",
        "lambda: share",  # which nobody can send
    ],
)
def test_one_that_does_not_come_back_is_told_at_once(job):
    began = time.monotonic()
    assert printed(f"{job} if share == 0 else time.sleep(60)", "[1, 0, 1]") == "None"
    assert time.monotonic() - began < 30


def test_libraries_that_a_child_loads_start_no_threads_unless_the_user_says_so():
    assert printed("os.environ['OMP_NUM_THREADS']", "[0, 1]") == "['1', '1']"
    assert printed("os.environ['OMP_NUM_THREADS']", "[0, 1]", OMP_NUM_THREADS="3") == "['3', '3']"


def test_a_process_of_several_threads_does_not_fork():
    other = "threading.Thread(target=time.sleep, args=(0.5,)).start()"
    assert printed("share", "[0, 1]", other) == "None"
