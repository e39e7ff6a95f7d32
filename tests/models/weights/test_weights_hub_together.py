"""Sessions that begin together on one node: weights are sent to it once, and the others find them."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest
from local_hub import Repository, serve

COMMIT = "0123456789abcdef0123456789abcdef01234567"
CLIENT = """
import sys
from pytest_vdb.models.card import Part
from pytest_vdb.models.weights import hub
print("ready", flush=True)
sys.stdin.readline()
wanted = Part(component="transformer", type="AutoModel", repository="toys/large", subfolder="transformer")
print(hub.part(wanted, offline=False).revision)
"""
FILES = tuple(f"transformer/{number}.safetensors" for number in range(3))


@pytest.mark.slow
def test_sessions_that_begin_together_are_sent_the_weights_once(tmp_path):
    folder = tmp_path / "hub"
    for name in ("transformer/config.json", *FILES):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(name.encode() * 1000)
    repository = Repository(folder, COMMIT, takes_s=0.3)
    with serve({"toys/large": repository}) as address:
        environment = {**os.environ, "HF_ENDPOINT": address, "HF_HOME": str(tmp_path / "home")}
        environment.pop("HF_HUB_OFFLINE", None)
        pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True, "env": environment}
        sessions = [subprocess.Popen([sys.executable, "-c", CLIENT], **pipes) for _ in range(4)]
        for one in sessions:
            assert one.stdout.readline() == "ready\n"
        for one in sessions:
            one.stdin.write("go\n")
            one.stdin.flush()
        said = [one.communicate(timeout=60)[0].strip() for one in sessions]
    assert said == [COMMIT] * 4
    sent = sorted(line for line in repository.served if line.startswith("GET"))
    assert sent == [*(f"GET {name}" for name in FILES), "GET transformer/config.json"]
