"""`--vdb-ab REF`: this session hands over to `vdb ab`, whose blocks are sessions of their own, and ends as it ends."""

from __future__ import annotations

import contextlib
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator, Sequence

import pytest

from pytest_vdb import signals
from pytest_vdb.options import NOT_ASKED_RIGHTLY
from pytest_vdb.plugin.session import given

_VDB_AB = (sys.executable, "-m", "pytest_vdb", "ab")
_TAKEN = ("ab", "ab-blocks", "fail-on", "strict", "output")
"""What `vdb ab` takes for itself; everything else is the blocks'."""


def hand_over(config: pytest.Config) -> int:
    """Run `vdb ab` on the arguments of this session.

    Returns:
        Its exit code; pytest's own for a usage error.
    """
    ours = [f"--ref={given(config, 'ab').text()}"]
    ours += [f"--blocks={blocks}"] if (blocks := given(config, "ab-blocks").text()) else []
    ours += [f"--fail-on={rules}"] if (rules := given(config, "fail-on").text()) else []
    ours += ["--strict"] if given(config, "strict").text() == "yes" else []
    ours += [f"--output={folder / 'ab'}"] if (folder := given(config, "output").path()) else []
    arguments = without(_TAKEN, list(map(str, config.invocation_params.args)))
    folder = config.invocation_params.dir
    process = subprocess.Popen([*_VDB_AB, *ours, "--", *arguments], cwd=folder, start_new_session=True)
    with _signals_handed_on(process):
        status = process.wait()
    # What that says by 2 is an interrupted session of pytest.
    return int(pytest.ExitCode.USAGE_ERROR) if status == NOT_ASKED_RIGHTLY else status


def without(names: Sequence[str], arguments: Sequence[str]) -> list[str]:
    """Arguments without these options of ours, each with its value, whether that stands behind a `=` or a blank."""
    from pytest_vdb.options import FLAGS

    switches = {flag.flag: flag.switch for flag in FLAGS if flag.name in names}
    left: list[str] = []
    words = iter(arguments)
    for word in words:
        name, equals, _ = word.partition("=")
        if name not in switches:
            left.append(word)
        elif not equals and not switches[name]:
            next(words, None)
    return left


@contextlib.contextmanager
def _signals_handed_on(process: subprocess.Popen[bytes]) -> Iterator[None]:
    """Ctrl-C and what ends jobs reach it once, and it says what is kept."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, *signals.OF_AN_END)}
    before = {number: handler for number, handler in before.items() if handler not in {None, signal.SIG_IGN}}
    for number in before:  # `nohup` ignores SIGHUP, and means it
        signal.signal(number, lambda number, _: process.send_signal(number))
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
