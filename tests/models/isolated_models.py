"""A model that does as the prompt's text says; read by the isolated process, and by the tests for what is right."""

import contextlib
import json
import os
import pathlib
import signal
import socket
import subprocess
import sys
import time

import numpy as np


def noise(prompt, recipe, seed):
    rng = np.random.default_rng(seed)
    return rng.integers(0, 256, (recipe.frames, recipe.height, recipe.width, 3), np.uint8), recipe.fps


class Obedient:
    """`DEED ARGUMENT` is the prompt; what it found out is raised, so that the test reads it."""

    notes = ("kept \x1b[31mred", "a note")

    def generate(self, prompt, recipe, seed):
        deed, _, rest = prompt.text.partition(" ")
        found = getattr(self, deed, lambda rest: None)(rest)
        if found is not None:
            raise RuntimeError("FOUND " + str(found))
        return noise(prompt, recipe, seed)

    def read(self, path):
        with open(path) as file:  # noqa: PTH123
            return file.read(20)

    def write(self, path):
        with open(path, "w") as file:  # noqa: PTH123
            file.write("planted")
        return "wrote"

    def connect(self, address):
        host, port = address.split(":")
        socket.create_connection((host, int(port)), timeout=2).close()
        return "connected"

    def environment(self, name):
        return os.environ.get(name, "nothing")

    def processes(self, _):
        return sorted(int(name) for name in os.listdir("/proc") if name.isdigit())  # noqa: PTH208

    def hog(self, _):
        kept = []
        while True:
            kept.append(np.ones(2**24, np.uint8))

    def forks(self, most):
        for number in range(int(most)):
            try:
                if os.fork() == 0:
                    time.sleep(1000)
            except BlockingIOError:
                return number
        return most

    def hang(self, _):
        time.sleep(1000)

    def crash(self, _):
        sys.stderr.write("the last words\n")
        sys.stderr.flush()
        os.kill(os.getpid(), signal.SIGSEGV)

    def leave(self, _):
        os._exit(3)

    def flood(self, _):
        for _ in range(400):
            os.write(2, b"x" * 2**16)

    def print(self, _):
        print("chatter on stdout")
        os.write(1, b'{"ok": true, "fps": 1.0}\n')

    def deep(self, depth):
        os.chdir(os.environ.get("EXCHANGE", "/exchange"))
        for _ in range(int(depth)):
            os.mkdir("d")  # noqa: PTH102
            os.chdir("d")
        os.chmod(".", 0)  # noqa: PTH101
        os.chdir("/")

    def churn(self, seconds):
        """Goes on after the answer."""
        if os.fork() == 0:
            until = time.monotonic() + float(seconds)
            while time.monotonic() < until:
                name = f"/exchange/{seconds}"
                for make in (lambda: os.symlink("/", name), lambda: os.mkdir(name + "d")):  # noqa: B023, PTH102, PTH211
                    with contextlib.suppress(OSError):
                        make()
                        os.rename(name, name + "d")  # noqa: PTH104
            os._exit(0)
        time.sleep(0.1)

    def half(self, _):
        return "\udcff"

    def orphan(self, _):
        """Leaves its parents and its session."""
        if os.fork() == 0:
            os.setsid()
            if os.fork() == 0:
                time.sleep(1000)
            os._exit(0)
        time.sleep(0.1)

    def children(self, _):
        one = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(1000)"], start_new_session=True)
        os.write(2, b"child %d\n" % one.pid)
        time.sleep(1000)


class Rubbish:
    """Answers by itself, past the server: the descriptor of the answers is the highest that is open."""

    def generate(self, prompt, recipe, seed):
        deed, _, path = prompt.text.partition(" ")
        clip = os.environ.get("EXCHANGE", "/exchange") + "/clip.npy"
        getattr(self, deed)(clip, path)
        if deed != "more":
            os._exit(0)
        return noise(prompt, recipe, seed)

    def say(self, text):
        numbers = [path.name for path in pathlib.Path("/proc/self/fd").iterdir() if self.is_pipe(path)]
        os.write(max(map(int, numbers)), text)

    @staticmethod
    def is_pipe(path):
        try:
            return str(path.readlink()).startswith("pipe:") and int(path.name) > 2
        except OSError:
            return False

    def answer(self, **told):
        told = {"ok": True, "id": 3, "fps": 8.0, "shape": [2, 4, 4, 3], "dtype": "uint8", **told}
        self.say(json.dumps(told).encode() + b"\n")

    def good(self, clip, _):
        np.save(clip, np.zeros((2, 4, 4, 3), np.uint8))

    def wrong(self, clip, _):
        self.good(clip, _)
        self.answer(shape=[2, 4, 4, 4])

    def floats(self, clip, _):
        np.save(clip, np.zeros((2, 4, 4, 3)))
        self.answer(dtype="float64")

    def flat(self, clip, _):
        np.save(clip, np.zeros((2, 4, 4), np.uint8))
        self.answer(shape=[2, 4, 4])

    def nan(self, clip, _):
        self.good(clip, _)
        self.say(b'{"ok": true, "id": 3, "fps": NaN, "shape": [2, 4, 4, 3], "dtype": "uint8"}\n')

    def negative(self, clip, _):
        self.good(clip, _)
        self.answer(fps=-1.0)

    def missing(self, clip, _):
        self.answer()

    def link(self, clip, path):
        pathlib.Path(clip).symlink_to(path)
        self.answer()

    def pipe(self, clip, _):
        os.mkfifo(clip)
        self.answer()

    def folder(self, clip, _):
        os.mkdir(clip)  # noqa: PTH102
        self.answer()

    def pickled(self, clip, _):
        np.save(clip, np.array([{}], dtype=object), allow_pickle=True)
        self.answer()

    def promise(self, clip, _):
        self.good(clip, _)
        with open(clip, "r+b") as file:  # noqa: PTH123
            file.truncate(140)
        self.answer()

    def huge(self, clip, _):
        header = "{'descr': '|u1', 'fortran_order': False, 'shape': (99999, 9999, 9999, 3), }"
        with open(clip, "wb") as file:  # noqa: PTH123
            file.write(b"\x93NUMPY\x01\x00" + (118).to_bytes(2, "little") + header.ljust(117).encode() + b"\n")
        self.answer(shape=[99999, 9999, 9999, 3])

    def line(self, clip, _):
        while True:
            self.say(b"x" * 2**16)

    def early(self, clip, _):
        self.good(clip, _)
        self.answer(id=2)

    def nothing(self, clip, _):
        self.say(b"\n")

    def deep(self, clip, _):
        self.say(b"[" * 100000 + b"\n")

    def number(self, clip, _):
        self.say(b"17\n")

    def more(self, clip, _):
        self.good(clip, _)
        self.answer()

    def talk(self, clip, _):
        self.good(clip, _)
        self.answer(notes=["\x1b]0;owned\x07" + "n" * 5000] * 100)


class Breaks:
    """Cannot be loaded."""

    def load(self, recipe, device):
        raise ImportError("no such library: " + device)


class Rows:
    """Each rank makes its rows, of its own grey; `DEED RANK` is what befalls one of them."""

    def load(self, recipe, device):
        import torch.distributed as dist

        self.rank, self.size = dist.get_rank(), dist.get_world_size()

    def generate(self, prompt, recipe, seed):
        import torch
        import torch.distributed as dist

        deed, _, rank = prompt.text.partition(" ")
        if rank and self.rank == int(rank):
            getattr(self, deed)()
        mine = torch.full((recipe.frames, recipe.height // self.size, recipe.width, 3), seed + self.rank)
        parts = [torch.empty_like(mine) for _ in range(self.size)]
        dist.all_gather(parts, mine)
        return torch.cat(parts, 1).numpy().astype(np.uint8), recipe.fps

    def full(self):
        raise MemoryError("no room")

    def hang(self):
        time.sleep(1000)

    def kill(self):
        os.kill(os.getpid(), signal.SIGKILL)
