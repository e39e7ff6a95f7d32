"""Where a run happened: processor, memory, graphics cards, packages, commit. Reads only; CUDA is never initialised."""

from __future__ import annotations

import contextlib
import hashlib
import importlib.metadata
import importlib.util
import json
import os
import platform
import subprocess
import sys
from functools import cache
from pathlib import Path
from typing import Any

from pytest_vdb.errors import OptionError, UnknownName
from pytest_vdb.records import Environment, Gpu

PACKAGES = (
    "pytest-vdb",
    "torch",
    "torchvision",
    "diffusers",
    "transformers",
    "accelerate",
    "open_clip_torch",
    "numpy",
    "av",
    "pytest",
)
"""What can change a pixel, a score or a duration."""
MODULES = {"open_clip_torch": "open_clip"}
"""Where the name that is imported is another."""

DEVICES = ("cpu", "cuda", "mps", "auto")
"""Kinds of devices that models and metrics run on."""

_GIT_SECONDS = 5.0


def capture(device: str, *, folder: Path | None = None) -> Environment:
    """Describe this machine.

    Args:
        device: what the models run on, e.g. `cpu`, `cuda`, `cuda:1`, `mps`.
        folder: whose git commit is noted; the working directory if not given.

    Returns:
        The environment; what the machine does not tell is None or empty.
    """
    import psutil

    gpus, driver, cuda = graphics()
    cpu, count = _cpu_model(), cpu_count()
    commit, dirty, branch = _git(folder or Path.cwd())
    return Environment(
        python=platform.python_version(),
        platform=platform.platform(),
        hardware=_hardware(device, gpus, cpu, count),
        cpu=cpu,
        cpu_count=count,
        memory_mib=psutil.virtual_memory().total // 2**20,
        gpus=gpus,
        driver=driver,
        cuda=cuda,
        packages=packages(),
        git_commit=commit,
        git_branch=branch,
        git_dirty=dirty,
    )


@cache
def _versions() -> tuple[tuple[str, str], ...]:
    found = []
    for name in PACKAGES:
        try:
            distribution = importlib.metadata.distribution(name)
        except importlib.metadata.PackageNotFoundError:
            continue
        state = _state_of_distribution(distribution)
        found.append((name, f"{distribution.version} @ {state}" if state else distribution.version))
    return tuple(found)


def packages() -> dict[str, str]:
    """Versions of the installed packages that matter.

    With the commit where one was installed from a repository, and a digest of its text where the installation can be
    edited: its version stays the same all the while.
    """
    return dict(_versions())


def _state_of_distribution(distribution: importlib.metadata.Distribution) -> str | None:
    """What pip noted of where it came from (PEP 610): a commit, or a folder whose files are used as they are."""
    try:
        noted = json.loads(distribution.read_text("direct_url.json") or "{}")
        if commit := noted.get("vcs_info", {}).get("commit_id"):
            return str(commit)
        if noted.get("dir_info", {}).get("editable"):
            return _digest_of_sources(distribution)
    except (ValueError, AttributeError):  # not the JSON that pip writes
        pass
    return None


def _digest_of_sources(distribution: importlib.metadata.Distribution) -> str | None:
    """Of every Python file of the package, where it is to be found."""
    state = hashlib.sha256()
    spec = importlib.util.find_spec(MODULES.get(distribution.name, distribution.name.replace("-", "_")))
    for folder in spec.submodule_search_locations or () if spec is not None else ():
        for source in sorted(Path(folder).rglob("*.py")):
            state.update(str(source.relative_to(folder)).encode() + b"\0" + source.read_bytes() + b"\0")
    return f"sources {state.hexdigest()[:12]}" if spec is not None else None


def _hardware(device: str, gpus: tuple[Gpu, ...], cpu: str, cpu_count: int) -> str:
    kind, _, index = device.partition(":")
    if kind == "cuda":
        at = int(index) if index.isdigit() else 0
        return gpus[at].name if at < len(gpus) else "unknown CUDA device"
    return f"{cpu} ({cpu_count} cores)" if kind == "cpu" else f"{kind} on {cpu}"


def memory_gib_of(device: str, here: Environment) -> float | None:
    """All memory of a device of this machine; None where nobody tells."""
    kind, _, index = device.partition(":")
    if kind != "cuda":
        return here.memory_mib / 1024
    at = int(index) if index.isdigit() else 0
    memory_mib = here.gpus[at].memory_mib if at < len(here.gpus) else None
    return None if memory_mib is None else memory_mib / 1024


def device_here(asked: str) -> str:
    """What `auto` means on this machine: a GPU that this process may use, an Apple GPU, else the processor."""
    if asked != "auto":
        return asked
    if graphics()[0]:
        return "cuda"
    return "mps" if sys.platform == "darwin" and os.uname().machine == "arm64" else "cpu"


def check_device(asked: str, *, where: str) -> None:
    """Whether this process can see the device.

    Raises:
        UnknownName: no kind of device that models run on.
        OptionError: a GPU that is not here.
    """
    kind, colon, index = asked.partition(":")
    if kind not in DEVICES or (colon and (kind != "cuda" or not index.isdecimal())):
        raise UnknownName("device", asked, DEVICES, where=where, mend="One of: cpu, cuda, cuda:N, mps, auto.")
    if kind == "cuda" and int(index or 0) >= len(graphics()[0]):
        here = len(graphics()[0])
        raise OptionError(
            f"{asked!r}: this process sees {here} CUDA device{'' if here == 1 else 's'}",
            where=where,
            mend="check nvidia-smi and CUDA_VISIBLE_DEVICES, or take another device",
        )


# Processor ----------------------------------------------------------------------------------------------------------


def cpu_count() -> int:
    """Processors this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


@cache
def _cpu_model() -> str:
    try:
        for line in Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace").splitlines():
            if line.startswith(("model name", "Hardware", "cpu model")):
                return line.partition(":")[2].strip()
    except OSError:
        pass  # not Linux
    return platform.processor() or platform.machine() or "unknown processor"


# Graphics cards -----------------------------------------------------------------------------------------------------


def graphics() -> tuple[tuple[Gpu, ...], str | None, str | None]:
    """The cards that CUDA programs of this process will see, in that order; the driver and its CUDA version."""
    import pynvml

    try:
        pynvml.nvmlInit()
    except pynvml.NVMLError:
        return (), None, None
    try:
        cards = tuple(_gpu_of_handle(pynvml, handle) for handle in _visible_handles(pynvml))
        version = int(pynvml.nvmlSystemGetCudaDriverVersion_v2())
        return cards, _text_of(pynvml.nvmlSystemGetDriverVersion()), f"{version // 1000}.{version % 1000 // 10}"
    except pynvml.NVMLError:
        return (), None, None
    finally:
        pynvml.nvmlShutdown()


def _visible_handles(nvml: Any) -> list[Any]:
    """Handles in the order of `CUDA_VISIBLE_DEVICES`, which ends at its first entry that names no card.

    Indices are taken in the order of the PCI bus; it is CUDA's too where all cards are alike.
    """
    handles = [nvml.nvmlDeviceGetHandleByIndex(index) for index in range(nvml.nvmlDeviceGetCount())]
    chosen = os.environ.get("CUDA_VISIBLE_DEVICES")
    if chosen is None:
        return [_first_slice(nvml, handle) for handle in handles]
    by_uuid = {_text_of(nvml.nvmlDeviceGetUUID(handle)): handle for handle in handles}
    visible: list[Any] = []
    for entry in (part.strip() for part in chosen.split(",")):
        found = _by_index(entry, handles) if entry.isdigit() else _by_uuid(nvml, entry, by_uuid)
        if found is None:
            break
        visible.append(_first_slice(nvml, found))
    return visible


def _first_slice(nvml: Any, handle: Any) -> Any:
    """What CUDA shows of a card: the card, or its first slice where MIG divides it."""
    with contextlib.suppress(nvml.NVMLError):  # a card, or a slice, that knows no MIG
        if nvml.nvmlDeviceGetMigMode(handle)[0]:
            for index in range(nvml.nvmlDeviceGetMaxMigDeviceCount(handle)):
                with contextlib.suppress(nvml.NVMLError):  # slices are numbered with gaps
                    return nvml.nvmlDeviceGetMigDeviceHandleByIndex(handle, index)
    return handle


def _by_index(entry: str, handles: list[Any]) -> Any:
    return handles[int(entry)] if int(entry) < len(handles) else None


def _by_uuid(nvml: Any, entry: str, by_uuid: dict[str, Any]) -> Any:
    if entry.startswith("MIG-"):
        try:
            return nvml.nvmlDeviceGetHandleByUUID(entry)
        except nvml.NVMLError:
            return None
    found = [handle for uuid, handle in by_uuid.items() if entry and uuid.startswith(entry)]
    return found[0] if len(found) == 1 else None


def _gpu_of_handle(nvml: Any, handle: Any) -> Gpu:
    try:
        memory_mib = int(nvml.nvmlDeviceGetMemoryInfo(handle).total) // 2**20
    except nvml.NVMLError:
        memory_mib = None
    return Gpu(
        name=_text_of(nvml.nvmlDeviceGetName(handle)),
        uuid=_text_of(nvml.nvmlDeviceGetUUID(handle)),
        memory_mib=memory_mib,
    )


def _text_of(value: str | bytes) -> str:
    return value.decode() if isinstance(value, bytes) else value


# Commit -------------------------------------------------------------------------------------------------------------


_BRANCHES_OF_JOBS = ("GITHUB_HEAD_REF", "GITHUB_REF_NAME", "CI_COMMIT_BRANCH", "CI_MERGE_REQUEST_SOURCE_BRANCH_NAME")
"""Where jobs on GitHub and GitLab, which check out a commit and no branch, tell theirs."""


def _git(folder: Path) -> tuple[str | None, bool | None, str | None]:
    """Commit of the folder, whether tracked files differ from it, and the branch; all None outside a repository."""
    command = ["git", "status", "--porcelain=v2", "--branch", "--untracked-files=no"]
    try:
        done = subprocess.run(
            command,
            cwd=folder,
            capture_output=True,
            text=True,
            timeout=_GIT_SECONDS,
            env={**os.environ, "GIT_OPTIONAL_LOCKS": "0"},
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired):
        return None, None, None
    if done.returncode != 0:
        return None, None, None
    lines = done.stdout.splitlines()
    commit = next((line.split()[-1] for line in lines if line.startswith("# branch.oid ")), None)
    branch = next((line.split()[-1] for line in lines if line.startswith("# branch.head ")), None)
    if branch == "(detached)":
        branch = next((os.environ[name] for name in _BRANCHES_OF_JOBS if os.environ.get(name)), None)
    changed = any(not line.startswith("#") for line in lines)
    return (None if commit == "(initial)" else commit), changed, branch
