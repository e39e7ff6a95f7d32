"""TorchScript archives: their weights are those of `torch.jit.load`, and nothing that they bring is run."""

from __future__ import annotations

import os
import pickle
import zipfile
from pathlib import Path

import pytest
import torch

from pytest_vdb.backbones import torchscript
from pytest_vdb.errors import TooLarge, WeightsBroken

pytestmark = [
    pytest.mark.filterwarnings("ignore:.*torch.jit:FutureWarning"),
    pytest.mark.filterwarnings("ignore:.*torch.jit:DeprecationWarning"),
]


class Block(torch.nn.Module):
    """A convolution and its normalisation, with things beside them that are no weights."""

    def __init__(self, inputs: int, outputs: int, epsilon: float) -> None:
        super().__init__()
        self.bn = torch.nn.BatchNorm3d(outputs, eps=epsilon)
        self.conv = torch.nn.Conv3d(inputs, outputs, 1, bias=False)
        self.scratch = torch.zeros(3)
        self.sizes = [1, 2]
        torch.nn.init.normal_(self.bn.running_mean)
        torch.nn.init.uniform_(self.bn.running_var, 0.5, 2)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.bn(self.conv(x))


class Network(torch.nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.first, self.second = Block(3, 4, 1e-3), Block(4, 6, 1e-5)
        whole = torch.arange(12.0)
        self.register_buffer("every_third", whole[1::3])
        self.register_buffer("turned", whole.reshape(3, 4).T)
        self.register_buffer("none_at_all", torch.zeros(0, 5))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.second(self.first(x))


@pytest.fixture(scope="module")
def network() -> Network:
    torch.manual_seed(0)
    return Network().eval()


@pytest.fixture(params=["scripted", "traced"])
def archive(request, network, tmp_path) -> Path:
    path = tmp_path / "network.pt"
    if request.param == "scripted":
        torch.jit.script(network).save(path)
    else:
        torch.jit.trace(network, torch.zeros(1, 3, 2, 2, 2)).save(path)
    return path


def changed(archive: Path, target: Path, **members: bytes) -> Path:
    """A copy with other content in some of its files."""
    with zipfile.ZipFile(archive) as source, zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as copy:
        for name in source.namelist():
            inside = name.partition("/")[2]
            copy.writestr(name, members.get(inside, source.read(name)))
    return target


def test_the_weights_are_those_of_the_module_in_its_order(network, archive):
    state = torchscript.read_state(archive)
    expected = network.state_dict()
    weights = [name for name in state if not name.endswith(".eps")]
    assert weights == list(torch.jit.load(archive).state_dict())
    for name, value in expected.items():
        assert state[name].dtype == value.dtype
        assert torch.equal(state[name], value), name


def test_each_normalisation_brings_its_epsilon(archive):
    state = torchscript.read_state(archive)
    assert {name: float(value) for name, value in state.items() if name.endswith(".eps")} == {
        "first.bn.eps": 1e-3,
        "second.bn.eps": 1e-5,
    }


def test_an_epsilon_that_is_not_told_is_not_guessed(network, tmp_path):
    path = tmp_path / "network.pt"
    torch.jit.script(network).save(path)
    with zipfile.ZipFile(path) as source:
        code = next(name for name in source.namelist() if "batchnorm" in name and name.endswith(".py"))
        text = source.read(code).replace(b"eps : Final[float]", b"neps : Final[float]")
    bare = changed(path, tmp_path / "bare.pt", **{code.partition("/")[2]: text})
    with pytest.raises(WeightsBroken, match="does not tell its epsilon"):
        torchscript.read_state(bare)


def test_only_archives_are_taken_for_archives(archive, tmp_path):
    torch.save({"w": torch.zeros(2)}, tmp_path / "plain.pt")
    (tmp_path / "text.pt").write_text("no zip")
    assert torchscript.is_archive(archive)
    assert not torchscript.is_archive(tmp_path / "plain.pt")
    assert not torchscript.is_archive(tmp_path / "text.pt")


# --- what an archive of a stranger may try ----------------------------------------------------------------------------


class WritesWhenLoaded(torch.nn.Module):
    """Its `__setstate__` overwrites a file of the user: torch.jit.load runs it."""

    def __init__(self, victim: str) -> None:
        super().__init__()
        self.victim = victim
        self.w = torch.nn.Parameter(torch.zeros(2))
        self.register_buffer("written", torch.zeros(64))

    @torch.jit.export
    def __getstate__(self) -> tuple[str, torch.Tensor, bool]:
        return (self.victim, self.w, self.training)

    @torch.jit.export
    def __setstate__(self, state: tuple[str, torch.Tensor, bool]) -> None:
        self.victim = state[0]
        self.written = torch.from_file(state[0], True, 64).fill_(7.0)
        self.w = state[1]
        self.training = state[2]

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x


class Outer(torch.nn.Module):
    def __init__(self, inner: torch.nn.Module) -> None:
        super().__init__()
        self.inner = inner

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.inner(x)


def test_the_archives_own_code_is_not_run(tmp_path):
    victim, path = tmp_path / "victim", tmp_path / "evil.pt"
    torch.jit.script(Outer(WritesWhenLoaded(str(victim)))).save(path)
    torch.jit.load(path)
    assert victim.exists(), "the attack itself no longer works: this test proves nothing"
    victim.unlink()
    with pytest.raises(WeightsBroken, match="inner keeps its weights by code of its own"):
        torchscript.read_state(path)
    assert not victim.exists()


class Runs:
    """A pickle that runs a command when it is unpickled."""

    def __init__(self, canary: Path) -> None:
        self.canary = canary

    def __reduce__(self):
        return os.system, (f"touch '{self.canary}'",)


@pytest.mark.parametrize("member", ["data.pkl", "constants.pkl"])
@pytest.mark.parametrize("protocol", range(6))
def test_a_pickle_that_calls_is_not_followed(network, tmp_path, member, protocol):
    path, canary = tmp_path / "network.pt", tmp_path / "canary"
    torch.jit.script(network).save(path)
    evil = changed(path, tmp_path / "evil.pt", **{member: pickle.dumps(Runs(canary), protocol=protocol)})
    if member == "constants.pkl":  # they are never looked at
        assert torchscript.read_state(evil)
    else:
        with pytest.raises(WeightsBroken, match="without running its code"):
            torchscript.read_state(evil)
    assert not canary.exists()


def pickled(body: bytes) -> bytes:
    """A module whose state is the dict that `body` fills."""
    return b"\x80\x02c__torch__\nM\nq\x00)\x81q\x01}(" + body + b"ub."


def text(value: str) -> bytes:
    data = value.encode()
    return b"X" + len(data).to_bytes(4, "little") + data


def test_a_module_that_holds_itself_is_refused(network, tmp_path):
    path = tmp_path / "network.pt"
    torch.jit.script(network).save(path)
    evil = changed(path, tmp_path / "evil.pt", **{"data.pkl": pickled(text("self") + b"h\x01")})
    with pytest.raises(WeightsBroken, match="holds itself"):
        torchscript.read_state(evil)


@pytest.mark.parametrize(
    ("offset", "size", "stride"),
    [
        pytest.param(
            b"K\x00", b"\x8a\x06" + (10**12).to_bytes(6, "little"), b"K\x00", id="one number, a trillion times"
        ),
        pytest.param(b"M\xff\xff", b"K\x02", b"K\x01", id="beyond the file"),
        pytest.param(b"J\xff\xff\xff\xff", b"K\x01", b"K\x01", id="before the file"),
    ],
)
def test_a_tensor_that_lies_is_refused(network, tmp_path, offset, size, stride):
    path = tmp_path / "network.pt"
    torch.jit.script(network).save(path)
    stored = b"(" + text("storage") + b"ctorch\nFloatStorage\n" + text("0") + text("cpu") + b"K\x04tQ"
    tensor = b"ctorch._utils\n_rebuild_tensor_v2\n(" + stored + offset + size + b"\x85" + stride + b"\x85\x89NtR"
    evil = changed(path, tmp_path / "evil.pt", **{"data.pkl": pickled(text("buf") + tensor)})
    with pytest.raises((WeightsBroken, RuntimeError)):
        torchscript.read_state(evil)


def test_an_archive_that_grows_beyond_the_budget_is_not_unpacked(network, tmp_path, monkeypatch):
    path = tmp_path / "network.pt"
    torch.jit.script(network).save(path)
    bomb = changed(path, tmp_path / "bomb.pt", **{"data/0": bytes(50_000_000)})
    assert bomb.stat().st_size < 100_000
    monkeypatch.setenv("VDB_BUDGET", "10M")
    with pytest.raises(TooLarge, match=r"data/0: 47\.\d MiB|data/0: 48 MiB"):
        torchscript.read_state(bomb)
