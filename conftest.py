"""What the repository's own tests need: `pytester`, and the shared material that lies beside the repository."""

from __future__ import annotations

import contextlib
import signal
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

pytest_plugins = ["pytester"]

SHARED = Path(__file__).parent.parent / "shared"


def pytest_configure() -> None:
    """Tests stop commands by signals that `nohup` and a shell's background ignore, for children too."""
    for name, usual in (("SIGINT", signal.default_int_handler), ("SIGHUP", signal.SIG_DFL)):
        number = getattr(signal, name, None)
        if number is not None and signal.getsignal(number) == signal.SIG_IGN:
            with contextlib.suppress(ValueError):  # not the main thread
                signal.signal(number, usual)


def pytest_addoption(parser: pytest.Parser) -> None:
    """What takes minutes is asked for."""
    parser.addoption("--heavy", action="store_true", help="run the tests that take minutes, too")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Skip what nobody asked for."""
    if not config.getoption("--heavy"):
        skipped = pytest.mark.skip(reason="takes minutes: pytest --heavy")
        for item in items:
            if item.get_closest_marker("heavy"):
                item.add_marker(skipped)


@pytest.fixture(scope="session")
def shared() -> Path:
    """Oracles, real clips and human ratings; not part of the repository."""
    if not SHARED.is_dir():
        pytest.skip(f"needs the project's shared material in {SHARED}, which is not part of the repository")
    return SHARED


class InstalledModules:
    """Keeps what inner sessions imported of the installed packages.

    pytester forgets every module that an in-process session imported, and a C extension cannot be imported twice: the
    second `import torch` of one process ends in an error of its registries or in a segmentation fault.
    """

    def __init__(self) -> None:
        self._modules: dict[str, ModuleType] = {}

    @pytest.hookimpl(trylast=True)
    def pytest_unconfigure(self, config: pytest.Config) -> None:
        """The inner session is over, and pytester has not yet forgotten its modules."""
        own = config.rootpath
        self._modules |= {name: module for name, module in sys.modules.items() if not _lies_in(module, own)}

    def put_back(self) -> None:
        """So that nothing is imported anew."""
        for name, module in self._modules.items():
            sys.modules.setdefault(name, module)


def _lies_in(module: ModuleType, folder: Path) -> bool:
    file = getattr(module, "__file__", None)
    return file is not None and Path(file).is_relative_to(folder)


@pytest.fixture
def installed_modules() -> Iterator[InstalledModules]:
    """Asked for before `pytester`, hence put back after it has put back its own."""
    kept = InstalledModules()
    yield kept
    kept.put_back()


@pytest.fixture
def pytester(installed_modules: InstalledModules, pytester: pytest.Pytester) -> pytest.Pytester:
    """pytest's own, whose in-process sessions may import torch."""
    run = pytester.inline_run

    def inline_run(*arguments: Any, plugins: Any = (), **options: Any) -> Any:
        try:
            return run(*arguments, plugins=[*plugins, installed_modules], **options)
        finally:
            installed_modules.put_back()

    pytester.inline_run = inline_run  # type: ignore[method-assign]
    return pytester
