import os
import subprocess
import sys

UNREACHABLE = """
from pytest_vdb.errors import WeightsMissing
from pytest_vdb.backbones.weights import hub_file

try:
    hub_file("toys/network", "model.safetensors", offline=False, backbone="clip", size_mib=578)
except WeightsMissing as error:
    print(error)
"""


def test_a_hub_out_of_reach_is_known_at_once_and_the_message_says_how_to_get_the_file(tmp_path):
    environment = {**os.environ, "HF_ENDPOINT": "http://127.0.0.1:9", "HF_HOME": str(tmp_path)}
    environment.pop("HF_HUB_OFFLINE", None)
    asked = [sys.executable, "-c", UNREACHABLE]
    done = subprocess.run(asked, env=environment, capture_output=True, text=True, check=True)
    assert "the weights of 'clip' (toys/network, 578 MiB) are not on this machine, and the hub did not" in done.stdout
    assert "hf download toys/network model.safetensors" in done.stdout
    assert "Retry" not in done.stderr  # nobody waits for what cannot come
