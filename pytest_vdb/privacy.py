"""What is kept and shown of a run says what was measured, not who ran it where: no folder of the machine, no user, no
host, no token.

Paths inside the project stay relative to it, files of packages to their package; of any other path its name is left.
What the environment, the command line or an ini file call a token, a key or a password is left out wherever it stands.
"""

from __future__ import annotations

import contextlib
import getpass
import os
import platform
import re
import sys
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path, PurePath
from typing import Any

from pytest_vdb.records import Failure, Measured, Measurements, Record

LEFT_OUT = "***"
USER, HOST = "<user>", "<host>"

_SECRET = re.compile(r"(?i)token|secret|passw|credential|auth|(api|access|private|signing)[-_]?key")
"""Names of settings whose values nobody may read."""
_SETTING = re.compile(r"^[ \t]*(?P<name>[\w.-]+)[ \t]*=[ \t]*(?P<value>\S.*)$", re.MULTILINE)
_SHORTEST_SECRET = 6
_TOKENS = re.compile(
    r"\bhf_\w{8,}|\bgh[pousr]_\w{16,}|\bgithub_pat_\w{20,}|\bsk-[\w-]{16,}|\bxox[abpr]-[\w-]{10,}|\bAKIA[0-9A-Z]{16}\b"
    r"|\beyJ[\w-]{10,}\.[\w-]{10,}\.[\w-]+|(?<=://)[^/\s@]+:[^/\s@]+(?=@)|(?<=Bearer )[\w.~+/=-]+"
    r"|(?<=[?&]token=)[^&\s]+|(?<=[?&]key=)[^&\s]+"
)
"""What looks like one: Hugging Face's, GitHub's, OpenAI's, Slack's, Amazon's, JSON web tokens, those in addresses."""
_NOBODY = frozenset(
    {
        *(
            "root",
            "user",
            "users",
            "home",
            "admin",
            "administrator",
            "nobody",
            "default",
            "runner",
            "build",
            "test",
            "tests",
        ),
        *("ubuntu", "debian", "docker", "vscode", "jovyan", "app", "data", "model", "models", "work", "workspace"),
    }
)
"""Accounts that tell nobody's name, and words that a sentence may hold."""

_IN_QUOTES = re.compile(r"""(?P<quote>['"])(?P<path>(?:/|~/|[A-Za-z]:[\\/]|\\\\|(?:\.\.[\\/])+)[^'"\n]*)(?P=quote)""")
_PART = r"""[^\s/\\'"<>|:;,(){}\[\]*?`]+"""
_BARE = re.compile(
    rf"(?<![\w./~\\<>-])(?:(?:~/|[A-Za-z]:[\\/]|\\\\)(?:{_PART}[\\/]+)*|(?:/(?!/)|(?:\.\./)+)(?:{_PART}[\\/]+)+)"
    rf"(?P<name>{_PART})?"
)
_PACKAGES = re.compile(
    r"""(?<![^\s'"(=:,\[])(?:[A-Za-z]:)?[^\s'"(=:,\[]*[\\/](?:(?:site|dist)-packages|lib[\\/]python3\.\d+)[\\/]"""
)
_SOMEBODYS_HOME = re.compile(rf"(?<![\w.])(?:/home|/Users|[A-Za-z]:[\\/]Users)[\\/]{_PART}(?![\w\\/])")


class Privacy:
    """What one session knows that others need not."""

    def __init__(
        self,
        root: Path,
        *,
        arguments: Iterable[str] = (),
        settings: Iterable[tuple[str, str]] = (),
        environment: Mapping[str, str] = os.environ,
    ) -> None:
        """
        Args:
            root: the project's folder: paths in it stay relative to it.
            arguments: the command line, e.g. `--api-token X`.
            settings: names and values from an ini file.
            environment: names and values.
        """
        inside = [root, Path.cwd()]
        outside = [entry for entry in map(Path, sys.path) if entry.is_absolute()] + [Path(__file__).parent.parent]
        self._inside = _spellings(inside)
        self._prefixes = tuple(
            _any_of(map(_as_prefix, _spellings(folders)), start=True) for folders in (inside, outside)
        )
        self._homes = _any_of(_spellings([_home()]), start=True)
        secrets = {*_secrets(environment.items()), *_secrets(settings), *_secrets(_named_values(arguments))}
        self._secrets = _any_of(secrets)
        self._users = _any_of(_users(environment), whole=True)
        self._hosts = _any_of(_hosts(), whole=True)
        self._known: dict[str, str] = {}

    def text(self, text: str) -> str:
        """A message, a traceback, a setting."""
        if text not in self._known:
            if len(self._known) > 10_000:
                self._known.clear()
            self._known[text] = self._without(text)
        return self._known[text]

    def path(self, path: PurePath) -> str:
        """Relative to the project, or its name alone."""
        for folder in self._inside:
            with contextlib.suppress(ValueError):
                return PurePath(path).relative_to(folder).as_posix()
        return self.text(path.name)

    def plain(self, value: Any) -> Any:
        """Every text in dicts and lists."""
        if isinstance(value, str):
            return self.text(value)
        if isinstance(value, Mapping):
            return {key: self.plain(one) for key, one in value.items()}
        return [self.plain(one) for one in value] if isinstance(value, list | tuple) else value

    def record(self, record: Record) -> Record:
        """What a record says in words; names and figures stay."""
        failure = record.failure
        return replace(
            record,
            failure=failure and self._failure(failure),
            notes=tuple(map(self.text, record.notes)),
            recipe={key: self.text(one) if isinstance(one, str) else one for key, one in record.recipe.items()},
            measurements=self._measurements(record.measurements),
        )

    def _measurements(self, measurements: Measurements) -> Measurements:
        if isinstance(measurements, Measured) and not measurements.special:
            return measurements  # values alone
        return tuple(replace(m, reason=self.text(m.reason)) if m.reason else m for m in measurements)

    def _failure(self, failure: Failure) -> Failure:
        traceback = None if failure.traceback is None else self.text(failure.traceback)
        return Failure(type=failure.type, message=self.text(failure.message), traceback=traceback)

    def _without(self, text: str) -> str:
        for pattern in (self._secrets, _TOKENS):
            text = pattern.sub(LEFT_OUT, text)
        if "/" in text or "\\" in text:
            text = self._without_folders(text)
        return self._hosts.sub(HOST, self._users.sub(USER, text))

    def _without_folders(self, text: str) -> str:
        of_project, of_packages = self._prefixes
        text = of_project.sub("", text.replace("file:///", "/"))
        text = of_packages.sub("", _PACKAGES.sub("", text))
        text = _SOMEBODYS_HOME.sub("~", self._homes.sub("~", text))
        text = _IN_QUOTES.sub(lambda match: f"{match['quote']}{name_of(match['path'])}{match['quote']}", text)
        return _BARE.sub(lambda match: match["name"] or "…", text)


def settings_in(path: Path | None) -> list[tuple[str, str]]:
    """Names and values of an ini or TOML file, whichever it is: every line `NAME = VALUE`."""
    if path is None:
        return []
    try:
        text = path.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return []
    return [(match["name"], match["value"].strip("\"' ")) for match in _SETTING.finditer(text)]


def name_of(path: str) -> str:
    """The last part of a path, whichever system wrote it."""
    return re.split(r"[\\/]", path.rstrip("\\/"))[-1] or path


def _as_prefix(folder: str) -> str:
    return folder if folder.endswith(os.sep) else folder + os.sep


def _spellings(folders: Iterable[Path]) -> list[str]:
    """As they are and with links followed, the longest first; never the root of the file system."""
    found = {str(spelling) for folder in folders for spelling in (folder.absolute(), Path(os.path.realpath(folder)))}
    return sorted((one for one in found if one != Path(one).anchor), key=lambda one: (-len(one), one))


def _home() -> Path:
    with contextlib.suppress(RuntimeError):
        return Path.home()
    return Path(os.sep)


def _named_values(arguments: Iterable[str]) -> Iterator[tuple[str, str]]:
    """`--api-token X` and `--api-token=X` as names and values."""
    name = ""
    for argument in arguments:
        if argument.startswith("-"):
            name, equals, value = argument.partition("=")
            if equals:
                yield name, value
                name = ""
        elif name:
            yield name, argument
            name = ""


def _secrets(settings: Iterable[tuple[str, str]]) -> list[str]:
    return [value for name, value in settings if _SECRET.search(name) and len(value) >= _SHORTEST_SECRET]


def _users(environment: Mapping[str, str]) -> set[str]:
    names = {environment.get(name, "") for name in ("USER", "LOGNAME", "USERNAME")} | {_home().name}
    with contextlib.suppress(OSError, KeyError, ImportError):
        names.add(getpass.getuser())
    return {name for name in names if len(name) > 2 and name.lower() not in _NOBODY}


def _hosts() -> set[str]:
    name = platform.node()
    return {
        one for one in (name, name.partition(".")[0]) if len(one) > 3 and one.lower() not in {"localhost", *_NOBODY}
    }


def _any_of(words: Iterable[str], *, whole: bool = False, start: bool = False) -> re.Pattern[str]:
    """Matches any of the words, the longest first; nothing where there are none.

    Args:
        words: to find.
        whole: only between other characters than letters and digits.
        start: only where a path begins.
    """
    one_of = "|".join(re.escape(word) for word in sorted(words, key=lambda word: (-len(word), word)))
    if not one_of:
        return re.compile(r"(?!)")
    if start:
        return re.compile(rf"(?<![\w.-])(?:{one_of})")
    return re.compile(rf"(?<![A-Za-z0-9])(?:{one_of})(?![A-Za-z0-9])" if whole else one_of)
