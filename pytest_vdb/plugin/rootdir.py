"""pytest's root folder does not depend on the values of our options.

pytest looks for its root and its ini file before it knows any plugin's options: of `--vdb-cache-dir X` it takes an X
that exists for a path to test. So a command would mean one thing on its first day and another once X is there.
"""

from __future__ import annotations

import inspect
from collections.abc import Iterator, Sequence
from itertools import pairwise

import pytest
from _pytest.config.findpaths import determine_setup

from pytest_vdb.files import is_there
from pytest_vdb.options import FLAGS


def mend(config: pytest.Config) -> None:
    """Find the root again without the values of our options, now that they are known.

    Raises:
        pytest.UsageError: pytest has read another ini file for it.
    """
    arguments = list(map(str, config.invocation_params.args))
    values = set(_separate_values(arguments))
    if not values:
        return
    named = config.known_args_namespace
    wanted = {
        "inifile": named.inifilename,
        "override_ini": named.override_ini,
        "args": [path for path in named.file_or_dir if path in arguments],
        "rootdir_cmd_arg": named.rootdir or None,
        "invocation_dir": config.invocation_params.dir,
    }
    known = inspect.signature(determine_setup).parameters  # `override_ini` is there from pytest 9 on
    root, ini, *_ = determine_setup(**{name: value for name, value in wanted.items() if name in known})
    if ini != config.inipath:
        raise pytest.UsageError(
            f"pytest takes {' and '.join(sorted(values))} for a path to test: it reads {config.inipath}, not {ini}\n"
            "  write options with an equals sign: --vdb-cache-dir=DIR"
        )
    if root != config.rootpath:
        if named.confcutdir == str(config.rootpath):
            named.confcutdir = str(root)
        config._rootpath = root


def _separate_values(arguments: Sequence[str]) -> Iterator[str]:
    """What follows one of our flags after a space and exists."""
    flags = {flag.flag for flag in FLAGS}
    for flag, value in pairwise(arguments):
        if flag in flags and is_there(value.partition("::")[0]):
            yield value
