"""pytest's root folder and ini file do not depend on the values of our options.

pytest looks for both before it knows any plugin's options: of `--vdb-cache-dir X` it takes an X that exists for a path
to test. So a command would mean one thing on its first day and another once X is there.
"""

from __future__ import annotations

import inspect
from collections.abc import Iterator, Sequence
from itertools import pairwise
from pathlib import Path

import pytest
from _pytest.config.findpaths import determine_setup

from pytest_vdb.files import is_there
from pytest_vdb.options import FLAGS

_USED_BEFORE_PLUGINS = frozenset({"addopts", "minversion", "pythonpath", "required_plugins"})
"""Keys of an ini file that pytest has followed by the time that it asks plugins."""

_SETTINGS = "_inicfg" if pytest.version_tuple >= (9,) else "inicfg"
"""Where a configuration keeps what its ini file says."""


def mend(config: pytest.Config) -> None:
    """Find root and ini file again without the values of our options, now that they are known.

    Raises:
        pytest.UsageError: pytest has read another ini file for it, and followed it already.
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
    root, ini, settings, *_ = determine_setup(**{name: value for name, value in wanted.items() if name in known})
    if ini != config.inipath:
        followed = _USED_BEFORE_PLUGINS & (settings.keys() | vars(config)[_SETTINGS].keys())
        if followed:
            raise pytest.UsageError(
                f"pytest takes {' and '.join(sorted(values))} for a path to test: it has followed {', '.join(followed)}"
                f" of {config.inipath or 'no ini file'}, not of {ini or 'none'}\n"
                "  write options with an equals sign: --vdb-cache-dir=DIR"
            )
        vars(config)[_SETTINGS] = settings
        config._inicache.clear()
    if named.confcutdir == str(_top(config.rootpath, config.inipath)):
        named.confcutdir = str(_top(root, ini))
    config._rootpath, config._inipath = root, ini


def _top(root: Path, ini: Path | None) -> Path:
    """The folder above which pytest looks for no conftest."""
    return ini.parent if ini is not None else root


def _separate_values(arguments: Sequence[str]) -> Iterator[str]:
    """What follows one of our flags after a space and exists."""
    flags = {flag.flag for flag in FLAGS if not flag.switch}
    for flag, value in pairwise(arguments):
        if flag in flags and is_there(value.partition("::")[0]):
            yield value
