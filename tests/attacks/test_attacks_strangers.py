"""Files of strangers through the commands: none runs code, reads elsewhere, fills the memory, hangs, or calls home."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import unquote

import numpy as np
import pytest
import strangers
from commands import BROKEN, Ended, Place, lines_of, runs_of
from listening import listening
from projects import GENERATION

from pytest_vdb import video
from pytest_vdb.metrics.registry import MetricRegistry
from pytest_vdb.models.weights import tiny
from pytest_vdb.records import Clip

pytestmark = pytest.mark.slow

MOST_GIB = 4
TOKEN = "planted-SECRETTOKEN"


@dataclass
class Watch:
    """Runs commands on files of strangers, and looks at what they did besides."""

    place: Place
    canary: Path
    url: str
    asked: list[str] = field(default_factory=list)

    def runs(self, *command: str | Path, seconds: float = 120) -> Ended:
        """To its end, which comes in time and in little memory; a traceback is an end as bad as code that ran."""
        words = [str(word) for word in command]
        out, err = self.place.folder / "watched.out", self.place.folder / "watched.err"
        with out.open("wb") as stdout, err.open("wb") as stderr:
            folder, environment = self.place.folder, self.place.environment
            process = subprocess.Popen(words, cwd=folder, env=environment, stdout=stdout, stderr=stderr)
            too_late = threading.Timer(seconds, process.kill)
            too_late.start()
            _, status, used = os.wait4(process.pid, 0)
            too_late.cancel()
        process.returncode = os.waitstatus_to_exitcode(status)
        said = [path.read_text(encoding="utf-8", errors="replace") for path in (out, err)]
        ended = Ended(" ".join(words)[:300], process.returncode, *said)
        assert not self.canary.exists(), f"{ended.command}: code of a stranger was run"
        assert not self.asked, f"{ended.command}: asked {self.asked}"
        assert process.returncode != -9, f"{ended.command}: more than {seconds} s"
        peak = used.ru_maxrss / (2**20 if sys.platform == "linux" else 2**30)
        assert peak < MOST_GIB, f"{ended.command}: took {peak:.1f} GiB"
        for broken in BROKEN:
            assert broken not in ended.err, f"{ended.command}\n{ended.err[-3000:]}"
        assert "INTERNALERROR" not in ended.out
        return ended

    def scores(self, clips: str | Path, *more: str | Path, metrics: str = "sharpness") -> Ended:
        """`vdb score` into a ledger of its own."""
        ledger = self.place.folder / "s.jsonl"
        ledger.unlink(missing_ok=True)
        return self.runs("vdb", "score", clips, "--metrics", metrics, *more, "-o", ledger).ends(0, 1)


@pytest.fixture
def watch(place: Place) -> Iterator[Watch]:
    """Beside the project: a canary that must not appear, and a server that must not be asked."""
    with listening() as (port, asked):
        planted = place.knows(HF_TOKEN=TOKEN, GITHUB_TOKEN=TOKEN, AWS_SECRET_ACCESS_KEY=TOKEN)
        yield Watch(planted, place.folder / "canary", f"http://127.0.0.1:{port}", asked)


def noise(seed: int = 0) -> Clip:
    return Clip(np.random.default_rng(seed).integers(0, 256, (16, 32, 32, 3), np.uint8), 8.0)


@pytest.fixture
def good(place: Place) -> Path:
    """A clip that is one."""
    np.save(place.folder / "good.npy", noise().frames)
    return place.folder / "good.npy"


# Pickles --------------------------------------------------------------------------------------------------------------


@pytest.mark.rounds(short=0, long=1)
def test_no_clip_or_reference_is_unpickled(watch: Watch, good: Path):
    folder, evil = watch.place.folder / "pickles", strangers.objects(watch.canary)
    folder.mkdir()
    np.save(folder / "clip.npy", evil, allow_pickle=True)
    np.savez(folder / "clip.npz", frames=evil)
    for name in ("raw.npy", "raw.npz", "movie.mp4"):
        (folder / name).write_bytes(strangers.pickled(watch.canary))
    for path in sorted(folder.iterdir()):
        watch.scores(path).ends(1)
    about = np.frombuffer(b'{"schema":1,"identities":{}}', np.uint8)
    with (folder / "ref.npz").open("wb") as stream:
        np.savez(stream, **{"i3d/features": evil, "about.json": about})
    watch.scores(good, "--tiny", "--reference", folder / "ref.npz", metrics="fvd").ends(1)


METRIC_OF = {network: spec.name for spec in MetricRegistry.builtin() for network in spec.backbones}
"""A metric that looks through each network."""


def unpickled_by_nobody(watch: Watch, good: Path, network: str, files: list[Path]) -> None:
    for path in files:
        if (network == "clip") == path.name.startswith("ViT"):
            given = ("--backbone", f"{network}={path}", "--reference", good)
            watch.scores(good, *given, metrics=METRIC_OF[network])


@pytest.mark.rounds(short=0, long=1)
@pytest.mark.parametrize("network", sorted(METRIC_OF))
def test_no_network_runs_what_is_given_as_its_weights(watch: Watch, good: Path, network):
    folder = watch.place.folder / "weights"
    folder.mkdir()
    files = strangers.write_pickles(folder, watch.canary)
    if network == "i3d":
        files += strangers.write_torchscripts(folder, watch.canary)
    unpickled_by_nobody(watch, good, network, files)
    hostile = watch.place.folder / "hostile"
    strangers.write_hostile_folder(hostile, watch.canary)
    given = ("--backbone", f"{network}={hostile}", "--reference", good)
    watch.scores(good, *given, metrics=METRIC_OF[network])
    (hostile / "model.safetensors").unlink()
    watch.scores(good, *given, metrics=METRIC_OF[network])


@pytest.mark.rounds(short=0, long=1)
@pytest.mark.parametrize("network", ["i3d", "raft", "lpips", "dino_v1"])
def test_a_torchscript_archive_overwrites_no_file(watch: Watch, good: Path, network):
    make = watch.place.writes("make.py", strangers.OVERWRITING.format(canary=str(watch.canary)))
    made = subprocess.run([sys.executable, "-W", "ignore", make, watch.place.folder / "evil.pt"], capture_output=True)
    assert made.returncode == 0, made.stderr[-1000:]
    watch.canary.unlink(missing_ok=True)
    given = ("--reference", good, "--backbone", f"{network}={watch.place.folder / 'evil.pt'}")
    watch.scores(good, *given, metrics=METRIC_OF[network])


# Pipelines ------------------------------------------------------------------------------------------------------------

ONE_CLIP = tuple(f"--vdb-recipe={setting}" for setting in ("frames=5", "height=32", "width=32", "steps=1"))


@pytest.fixture(scope="module")
def pipeline(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny.ensure("WanPipeline", tmp_path_factory.mktemp("tiny"))


def opens(watch: Watch, folder: Path, *more: str) -> None:
    """A session with `local` weights, whatever comes of it."""
    watch.place.writes("pytest.ini", "[pytest]\n")
    watch.place.writes("test_bench.py", GENERATION)
    chosen = ("--vdb-models=wan2.1-t2v-1.3b", "--vdb-weights=local", f"--vdb-weights-dir={folder}")
    less = ("--vdb-prompts=smoke:1", "--vdb-metrics=none", "--vdb-report=none")
    watch.runs("pytest", "-q", "--color=no", *chosen, *ONE_CLIP, *less, *more, seconds=150).ends(0, 1, 2, 4)


@pytest.mark.rounds(short=0, long=1)
@pytest.mark.parametrize("name", strangers.PIPELINES)
def test_a_pipeline_brings_no_code(watch: Watch, pipeline: Path, name):
    folder = watch.place.folder / "wan"
    shutil.copytree(pipeline, folder)
    strangers.PIPELINES[name](folder, watch.canary)
    opens(watch, folder)


LORAS = ("pytorch_lora_weights.bin", "pytorch_lora_weights.safetensors", "adapter_model.bin", "evil.pt", "evil.bin")


@pytest.mark.rounds(short=0, long=1)
@pytest.mark.parametrize("at", ["", *LORAS])
def test_a_lora_brings_no_code(watch: Watch, pipeline: Path, at):
    lora = watch.place.folder / "lora"
    lora.mkdir()
    for name in LORAS:
        (lora / name).write_bytes(strangers.pickled(watch.canary))
    opens(watch, pipeline, f"--vdb-recipe=lora={lora / at}")


@pytest.mark.rounds(short=0, long=1)
@pytest.mark.parametrize("setting", ["attention=os.system", "scheduler=Evil", "cache=__import__", "quantization=os"])
def test_a_setting_of_a_recipe_names_no_code(watch: Watch, pipeline: Path, setting):
    opens(watch, pipeline, f"--vdb-recipe={setting}")


# Bombs ----------------------------------------------------------------------------------------------------------------


def explodes_nowhere(watch: Watch, name: str) -> None:
    path = watch.place.folder / name
    strangers.BOMBS[name](path)
    watch.scores(path)
    path.unlink()


@pytest.mark.rounds(short=1, long=1)
@pytest.mark.parametrize("name", ["promise.npz", "canvas.gif"])
def test_a_bomb_is_refused_within_the_budget(watch: Watch, name):
    explodes_nowhere(watch, name)


@pytest.mark.rounds(short=0, long=1)
@pytest.mark.parametrize("name", sorted(strangers.BOMBS))
def test_every_bomb_is_refused_within_the_budget(watch: Watch, name):
    explodes_nowhere(watch, name)


@pytest.mark.rounds(short=0, long=1)
def test_a_reference_of_zeros_is_refused_within_the_budget(watch: Watch, good: Path):
    bomb = watch.place.folder / "ref.npz"
    strangers.write_reference_bomb(bomb)
    watch.scores(good, "--tiny", "--reference", bomb, metrics="fvd").ends(1)


@pytest.mark.rounds(short=0, long=1)
@pytest.mark.parametrize("name", strangers.HEADERS)
def test_a_header_of_weights_is_held_to_the_budget(watch: Watch, good: Path, name):
    path = watch.place.folder / "h.safetensors"
    path.write_bytes(strangers.HEADERS[name])
    watch.scores(good, "--backbone", f"dino_v1={path}", metrics="dino_consistency,vbench.subject_consistency")


@pytest.mark.rounds(short=0, long=1)
@pytest.mark.parametrize("name", strangers.DOCUMENTS)
def test_a_run_that_is_a_bomb_is_refused(watch: Watch, name):
    watch.place.writes("run/run.json", strangers.DOCUMENTS[name])
    watch.place.writes("run/records.jsonl", "")
    watch.runs("vdb", "report", "run", "-o", "page").ends(1).says("run.json")


# Names that are addresses, and files that name others -----------------------------------------------------------------


@pytest.mark.rounds(short=0, long=1)
def test_a_playlist_is_no_clip_and_asks_for_nothing(watch: Watch):
    secret = watch.place.folder / "secret.mkv"
    video.write_lossless(noise(), secret)
    for name, text in strangers.playlists(watch.url, secret).items():
        watch.scores(watch.place.writes(f"lists/{name}", text)).ends(1)


@pytest.mark.rounds(short=1, long=1)
def test_a_folder_called_like_an_address_is_a_folder(watch: Watch):
    inside = watch.place.folder / "dot"
    trap = inside / "http:" / watch.url.removeprefix("http://")
    video.write_lossless(noise(), trap / "trap.mkv")
    (trap / "trap.mkv").rename(trap / "trap.mp4")
    watch.scores(inside).ends(0)
    ledger = Path("dot") / "s.jsonl"
    for asked in (".", f"http:/{trap.name}/trap.mp4"):
        within = Watch(watch.place.at(inside), watch.canary, watch.url, watch.asked)
        within.scores(asked).ends(0)
        assert len(lines_of(watch.place.folder / ledger).records) == 1


@pytest.mark.rounds(short=0, long=1)
@pytest.mark.parametrize("asked", [".", "named"])
def test_clips_called_like_addresses_or_patterns_are_clips(watch: Watch, asked):
    folder = watch.place.folder / "named"
    for at, name in enumerate(strangers.PROTOCOLS):
        video.write_lossless(noise(at), folder / "next.mkv")
        (folder / "next.mkv").rename(folder / name)
    where = watch.place.at(folder) if asked == "." else watch.place
    within = Watch(where, watch.canary, watch.url, watch.asked)
    within.scores(asked).ends(0)
    records = lines_of(where.folder / "s.jsonl").records
    assert {record["nodeid"] for record in records} == set(strangers.PROTOCOLS)


# What names other files -----------------------------------------------------------------------------------------------


@pytest.fixture
def run_of_alice(watch: Watch) -> Path:
    """A run of two calibration models in which one test fails."""
    watch.place.writes("pytest.ini", "[pytest]\n")
    failing = "\ndef test_fails(vdb, vdb_model):\n    token = __import__('os').environ['HF_TOKEN']\n    assert 0\n"
    watch.place.writes("test_bench.py", GENERATION + failing)
    watch.place.writes("conftest.py", "def pytest_addoption(parser):\n    parser.addoption('--api-token')\n")
    chosen = ("--vdb-models=calibration-shapes,calibration-noisy", "--vdb-weights=tiny", "--vdb-prompts=smoke:2")
    watch.runs("pytest", "-q", *chosen, "--vdb-metrics=sharpness", f"--api-token={TOKEN}").ends(1)
    (run,) = runs_of(watch.place.folder / "reports")
    return run


@pytest.mark.rounds(short=0, long=1)
def test_nothing_that_is_kept_tells_a_token_or_a_folder(watch: Watch, run_of_alice: Path):
    pages = list((watch.place.folder / "reports").glob("leaderboard.*"))
    assert len(pages) >= 4
    for path in [*pages, run_of_alice / "run.json", run_of_alice / "records.jsonl"]:
        text = path.read_text(encoding="utf-8")
        assert TOKEN not in text, path.name
        assert not re.search(r"(/tmp|/home|/root)/[^\s\"'<]", text), path.name


TRICKS = (
    *("link/../x.jpg", "outside.jpg", "../../../SECRET.txt", "clips\\..\\x.jpg", "nope/../x.jpg", ".\\x.jpg"),
    *("x.jpg/../x.jpg", "//x.jpg", "x.jpg\0", "y" * 300 + ".jpg", "a/" * 3000 + "x.jpg", "{secret}"),
)


@pytest.mark.rounds(short=0, long=1)
def test_no_picture_and_no_feature_from_outside_a_run_is_shown(watch: Watch, run_of_alice: Path):
    folder = watch.place.folder
    secret = folder / "SECRET.txt"
    secret.write_text("TOP-SECRET" * 10)
    (folder / "x.jpg").write_text("TOP-SECRET")
    (run_of_alice / "x.jpg").write_bytes(b"\xff\xd8")
    (folder / "inner").mkdir()
    (run_of_alice / "link").symlink_to(folder / "inner")
    (run_of_alice / "outside.jpg").symlink_to(secret)
    honest = lines_of(run_of_alice / "records.jsonl").records
    for trick in TRICKS:
        for record in honest:
            if record["clip"]:
                record["clip"] |= {"poster": trick.format(secret=secret), "preview": trick.format(secret=secret)}
        text = "".join(json.dumps(record) + "\n" for record in honest)
        (run_of_alice / "records.jsonl").write_text(text)
        watch.runs("vdb", "report", run_of_alice, "-o", "page", "--formats", "html").ends(0)
        pages = list((folder / "page").rglob("*.html"))
        assert len(pages) > 1
        for page in pages:
            for media in re.findall(r'(?:src|poster)="([^"]*)"', page.read_text(encoding="utf-8")):
                assert (page.parent / unquote(media)).resolve().is_relative_to(run_of_alice.resolve()), trick


@pytest.mark.rounds(short=0, long=1)
def test_features_lie_within_their_run(watch: Watch, run_of_alice: Path):
    far, features = watch.place.folder / "far.npz", np.random.default_rng(0).normal(size=(8, 400)).astype("f4")
    about = np.frombuffer(b'{"schema": 1, "identities": {"i3d": "tiny"}}', np.uint8)
    identities = np.frombuffer(b'{"i3d": "tiny"}', np.uint8)
    with far.open("wb") as stream:
        np.savez(stream, **{"identities.json": identities, "i3d": features[0]})
    with (watch.place.folder / "r.npz").open("wb") as stream:
        np.savez(stream, **{"about.json": about, "i3d/features": features})
    records = [record | {"features": str(far)} for record in lines_of(run_of_alice / "records.jsonl").records]
    (run_of_alice / "records.jsonl").write_text("".join(json.dumps(record) + "\n" for record in records))
    compare = ("vdb", "compare", run_of_alice, "calibration-shapes", "calibration-noisy")
    ended = watch.runs(*compare, "--reference", "r.npz", "--permutations", "9").ends(0, 1)
    assert not re.search(r"\b[fk]vd\b", ended.out)


@pytest.mark.rounds(short=0, long=1)
def test_a_prompts_image_is_a_file(watch: Watch):
    watch.place.writes("SECRET.txt", "TOP-SECRET")
    rows = [{"id": name, "text": "t", "image": name} for name in ("SECRET.txt", "/dev/stdin", "/dev/zero")]
    watch.place.writes("p.jsonl", "".join(json.dumps(row) + "\n" for row in rows))
    assert "TOP-SECRET" not in watch.runs("vdb", "prompts", "p.jsonl", "--json").text
    watch.place.writes("pytest.ini", "[pytest]\n")
    watch.place.writes("test_bench.py", GENERATION)
    chosen = ("--vdb-models=calibration-shapes", "--vdb-weights=tiny", "--vdb-metrics=sharpness")
    watch.runs("pytest", "-q", *chosen, "--vdb-prompts=p.jsonl", seconds=30).ends(0, 1, 2, 4)


@pytest.mark.rounds(short=0, long=1)
def test_devices_pipes_and_circles_are_not_followed(watch: Watch):
    folder = watch.place.folder
    os.mkfifo(folder / "pipe.mp4")
    for path in (Path("/dev/zero"), folder / "pipe.mp4"):
        watch.runs("vdb", "score", path, "--metrics", "sharpness", "-o", "z.jsonl", seconds=30).ends(1)
    loop = folder / "loop"
    video.write_lossless(noise(), loop / "c.mkv")
    (loop / "again").symlink_to(loop)
    watch.runs("vdb", "score", loop, "--metrics", "sharpness", "-o", "loop.jsonl", seconds=60).ends(0)
    assert len(lines_of(folder / "loop.jsonl").records) == 1
