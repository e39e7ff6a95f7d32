"""One job in several processes: all that they made comes back in order, or it is said that it did not.

Each test is a process of its own: that of the tests has threads, and then nothing forks.
"""

import os
import signal
import subprocess
import sys
import time

import pytest

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="only Linux forks with all its libraries whole")


def printed(job: str, shares: str, before: str = "", **environment: str) -> str:
    """What comes back, or `None`; nothing may be said besides."""
    return said_by(before, f"print(in_processes(lambda share: {job}, {shares}))", **environment)


def said_by(*code: str, **environment: str) -> str:
    lines = (
        "import os, signal, sys, threading, time",
        "from pytest_vdb.processes import beside, from_both_ends, in_processes",
        *code,
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
        "signal.raise_signal(signal.SIGTERM)",
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


@pytest.mark.parametrize(
    "other",
    [
        "threading.Thread(target=time.sleep, args=(0.5,)).start()",
        "from pytest_vdb.profiling.sampling import Sampler; looking = Sampler(60.0, int); time.sleep(0.2)",
    ],
)
def test_a_process_of_several_threads_does_not_fork(other):
    assert printed("share", "[0, 1]", other) == "None"


ALONE = "os.getpid() == me"


def test_ctrl_c_ends_the_children_and_no_library_says_where_it_stood():
    code = (
        "import time\n"
        "from pytest_vdb.processes import beside\n"
        "try:\n"
        "    with beside(lambda: time.sleep(60)):\n"
        "        print('begun', flush=True)\n"
        "        time.sleep(60)\n"
        "except KeyboardInterrupt:\n"
        "    print('stopped')\n"
    )
    command = [sys.executable, "-c", code]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    with subprocess.Popen(command, start_new_session=True, **pipes) as ran:
        assert ran.stdout.readline() == "begun\n"
        os.killpg(ran.pid, signal.SIGINT)
        assert ran.communicate(timeout=30) == ("stopped\n", "")


def test_a_job_beside_is_done_by_a_child_where_it_is_worth_it():
    beside = f"me = os.getpid()\nwith beside(lambda: {ALONE}, worth_it={{}}) as made: print(made())"
    assert said_by(beside.format(True)) == "False"
    assert said_by(beside.format(False)) == "True"
    assert said_by("threading.Thread(target=time.sleep, args=(0.5,)).start()", beside.format(True)) == "True"


@pytest.mark.parametrize("end", ["sys.exit(3)", "os.kill(os.getpid(), signal.SIGKILL)", "1 / 0", "lambda: 0"])
def test_what_a_child_does_not_bring_is_done_here(end):
    job = f"me = os.getpid()\nwith beside(lambda: 'here' if {ALONE} else {end}) as made: print(made())"
    assert said_by(job) == "here"


def test_a_child_whose_work_nobody_waits_for_ends_with_the_context():
    waiting = (
        "import tempfile, pathlib",
        "place = pathlib.Path(tempfile.mkdtemp()) / 'made'",
        "def job():",
        "    try: time.sleep(60)",
        "    finally: place.write_text('tidied')",
        "signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))",
        "try:",
        "    with beside(job): time.sleep(0.5); 1 / 0",
        "except ZeroDivisionError: print(place.read_text())",
    )
    began = time.monotonic()
    assert said_by("\n".join(waiting)) == "tidied"
    assert time.monotonic() - began < 30


BOTH = """
me = os.getpid()
def job(at):
    time.sleep(0.05)
    return at, os.getpid() == me
with from_both_ends([lambda at=at: job(at) for at in range(10)], worth_it=WORTH) as every:
    made = list(every())
print([at for at, _ in made], [mine for _, mine in made][0], [mine for _, mine in made][-1])
"""


def test_two_processes_begin_at_both_ends_and_meet():
    assert said_by(BOTH.replace("WORTH", "True")) == f"{[*range(10)]} True False"
    assert said_by(BOTH.replace("WORTH", "False")) == f"{[*range(10)]} True True"
    assert said_by("with from_both_ends([]) as every: print(list(every()))") == "[]"


@pytest.mark.parametrize("end", ["1 / 0", "os.kill(os.getpid(), signal.SIGKILL)"])
def test_what_a_child_had_taken_when_it_was_lost_is_done_here(end):
    lost = BOTH.replace("WORTH", "True").replace(
        "    return", f"    if at == 7 and os.getpid() != me: {end}\n    return"
    )
    assert said_by(lost) == f"{[*range(10)]} True True"


def test_an_error_of_a_job_is_this_processs():
    failing = BOTH.replace("WORTH", "True").replace(
        "    return", "    if at == 7: raise ValueError('no room')\n    return"
    )
    assert said_by(f"try:\n{indented(failing)}\nexcept ValueError as error: print(error)") == "no room"


def indented(code: str) -> str:
    return "\n".join(f"    {line}" for line in code.splitlines())
