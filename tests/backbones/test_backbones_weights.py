import hashlib
import os
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from pytest_vdb.backbones.weights import url_file

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


def test_sessions_that_begin_together_download_a_file_once(tmp_path):
    content, asked = b"weights" * 1000, []

    class Slow(BaseHTTPRequestHandler):
        def do_GET(self):
            asked.append(self.path)
            time.sleep(0.3)
            self.send_response(200)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, *_):
            """Quiet."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Slow)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    url = f"http://127.0.0.1:{server.server_port}/network-{hashlib.sha256(content).hexdigest()[:8]}.pth"
    get = partial(url_file, url, cache_dir=tmp_path, offline=False, backbone="toy", size_mib=1)
    with ThreadPoolExecutor(4) as sessions:
        found = {one.result() for one in [sessions.submit(get) for _ in range(4)]}
    server.shutdown()
    server.server_close()
    assert [path.read_bytes() for path in found] == [content]
    assert len(asked) == 1
