"""Prometheus, its Pushgateway and its `promtool`, where they are installed; else prometheus_client's own parser."""

from __future__ import annotations

import dataclasses
import json
import shutil
import socket
import subprocess
import time
import urllib.error
import urllib.parse
import urllib.request
from pathlib import Path

import pytest

from pytest_vdb.analysis import build
from pytest_vdb.errors import OptionError, OutputError
from pytest_vdb.exports.contract import Destination
from pytest_vdb.exports.targets import targets

pytest.importorskip("prometheus_client")


@pytest.fixture
def text(written, tmp_path) -> str:
    written("prometheus", "vdb.prom")
    return (tmp_path / "vdb.prom").read_text()


@pytest.fixture
def samples(text) -> dict[tuple[str, str, str], float]:
    """By name, model and statistic."""
    from prometheus_client.parser import text_string_to_metric_families

    return {
        (one.name, one.labels["model"], one.labels.get("statistic", one.labels.get("status", ""))): one.value
        for family in text_string_to_metric_families(text)
        for one in family.samples
    }


def cells(board, model: str) -> dict:
    (table,) = board.tables
    (row,) = (row for row in table.rows if row.model == model)
    return {column.name: cell for column, cell in zip(table.columns, row.cells, strict=True)}


def test_values_are_the_leaderboards_in_base_units(board, samples):
    latency = cells(board, "veo")["latency"]
    assert samples["vdb_latency_seconds", "veo", "mean"] == latency.mean
    assert samples["vdb_latency_seconds", "veo", "low"] == latency.interval[0]
    memory = [key for key in samples if key[0].endswith("_bytes") and key[1:] == ("veo", "mean")]
    assert memory
    for name, model, statistic in memory:
        measured = cells(board, model)[name.removeprefix("vdb_").removesuffix("_bytes")]
        assert samples[name, model, statistic] == measured.mean * 2**20


def test_what_was_not_measured_has_no_sample_and_what_became_of_tests_is_told(board, samples, text):
    assert ("vdb_clip_similarity", "veo", "mean") not in samples
    assert not any(name == "vdb_latency_seconds" and model == "hunyuanvideo" for name, model, _ in samples)
    assert any(name == "vdb_tests" and model == "hunyuanvideo" for name, model, _ in samples)
    assert 'wiring="yes"' in text


def test_promtool_finds_nothing_to_object_to_in_names_and_types(text):
    if (promtool := shutil.which("promtool")) is None:
        pytest.skip("promtool is not installed (Debian: prometheus)")
    checked = subprocess.run([promtool, "check", "metrics"], input=text, capture_output=True, text=True, check=False)
    assert checked.returncode == 0, checked.stderr


def test_hostile_names_stay_values_of_labels(tmp_path, board):
    from prometheus_client.parser import text_string_to_metric_families

    hostile = 'a"} 1\nvdb_forged{x="\\'
    records = [dataclasses.replace(record, model=hostile) for record in board.tables[0].rows[0].records]
    place = str(tmp_path / "hostile.prom")
    targets()["prometheus"].write(build(board.run, records), Destination(place=place))
    families = list(text_string_to_metric_families((tmp_path / "hostile.prom").read_text()))
    assert "vdb_forged" not in {one.name for family in families for one in family.samples}
    assert hostile in {one.labels.get("model") for family in families for one in family.samples}


@pytest.mark.parametrize("place", ["http://", "http://host/a/b", "http://host?x=1"])
def test_what_is_no_gateway_is_refused(board, place):
    with pytest.raises(OptionError, match="no address of a Pushgateway"):
        targets()["prometheus"].write(board, Destination(place=place))


def test_a_gateway_that_does_not_answer_is_named_without_its_password(board):
    with pytest.raises(OutputError) as refused:
        targets()["prometheus"].write(board, Destination(place=f"http://me:secret@127.0.0.1:{free_port()}"))
    assert "127.0.0.1" in str(refused.value)
    assert "secret" not in str(refused.value)


# Real servers -------------------------------------------------------------------------------------------------------


def free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return found.getsockname()[1]


def answer(address: str, within_s: float = 30.0) -> bytes:
    """What a server says, as soon as it is up."""
    until = time.monotonic() + within_s
    while True:
        try:
            return urllib.request.urlopen(address, timeout=5).read()
        except (urllib.error.URLError, ConnectionError):
            if time.monotonic() > until:
                raise
            time.sleep(0.1)


@pytest.fixture
def start():
    """Starts servers that end with the test; the test is skipped where one is not installed."""
    running = []

    def started(program: str, *words: str) -> None:
        if shutil.which(program) is None:
            pytest.skip(f"{program} is not installed (a package of Debian)")
        running.append(subprocess.Popen([program, *words], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL))

    yield started
    for one in running:
        one.terminate()
        one.wait(20)


@pytest.mark.slow
def test_what_is_pushed_is_what_prometheus_answers_and_a_second_push_replaces_it(board, start, tmp_path: Path):
    gateway, server = free_port(), free_port()
    start("prometheus-pushgateway", f"--web.listen-address=127.0.0.1:{gateway}")
    answer(f"http://127.0.0.1:{gateway}/-/ready")
    place = f"http://127.0.0.1:{gateway}/nightly"
    for _ in range(2):
        written = targets()["prometheus"].write(board, Destination(place=place))
    assert written.places == (f"http://127.0.0.1:{gateway}, job nightly",)
    (tmp_path / "prometheus.yml").write_text(
        "scrape_configs:\n- job_name: gateway\n  honor_labels: true\n  scrape_interval: 1s\n"
        f"  static_configs: [{{targets: ['127.0.0.1:{gateway}']}}]\n"
    )
    start(
        "prometheus",
        f"--config.file={tmp_path}/prometheus.yml",
        f"--storage.tsdb.path={tmp_path}/tsdb",
        f"--web.listen-address=127.0.0.1:{server}",
    )
    query = urllib.parse.quote('vdb_latency_seconds{job="nightly",model="veo",statistic="mean"}')
    until = time.monotonic() + 40
    found: list = []
    while not found and time.monotonic() < until:
        told = json.loads(answer(f"http://127.0.0.1:{server}/api/v1/query?query={query}"))
        found = told["data"]["result"]
        time.sleep(0.3)
    (series,) = found
    assert float(series["value"][1]) == pytest.approx(cells(board, "veo")["latency"].mean)
