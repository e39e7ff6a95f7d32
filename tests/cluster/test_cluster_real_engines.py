"""Engines as they are: a node is killed in the middle of a session, and the merged run is that of one machine.

`tox -e cluster` runs these; they need submitit with munged, slurmctld and slurmd (as root), Ray, and the client of
Kubernetes, whose API server alone is no real one: see `fake_kubernetes.py`.
"""

from __future__ import annotations

import contextlib
import importlib.util
import json
import os
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
from fake_kubernetes import NODE, running_cluster, waited_for
from test_cluster_indexed import Started

from pytest_vdb.results import journal

pytestmark = pytest.mark.heavy

CONFTEST = """
import json, time
from pathlib import Path
import numpy as np
from pytest_vdb import Clip, metric, model

def noise(recipe, seed, spread):
    time.sleep(json.loads(Path(__file__).with_name("seconds.json").read_text())[str(spread)])
    rng = np.random.default_rng(seed)
    return Clip(rng.integers(0, spread, (recipe.frames, recipe.height, recipe.width, 3), np.uint8), recipe.fps)

@model("bright", frames=4, height=16, width=16, fps=8.0)
def bright(prompt, recipe, seed):
    return noise(recipe, seed, 256)

@model("dim", frames=4, height=16, width=16, fps=8.0)
def dim(prompt, recipe, seed):
    return noise(recipe, seed, 128)

@metric("brightness", unit="1", better="higher")
def brightness(clip: Clip) -> float:
    return float(clip.frames.mean() / 255)
"""
TEST = """
def test_generation(vdb, vdb_model, vdb_prompt, vdb_seed):
    vdb.measure(vdb.generate(vdb_model, vdb_prompt, vdb_seed))
"""
ASKED = (
    *("benchmarks", "--vdb-models=bright,dim", "--vdb-prompts=five.txt", "--vdb-metrics=brightness"),
    *("--vdb-cache=never", "--vdb-report=none", "-p", "no:randomly"),
)
PATIENCE_S = 600
MEMORY = {"object_store_memory": 100 * 2**20}
"""Of each node of Ray."""


@pytest.fixture
def project(tmp_path):
    (tmp_path / "benchmarks").mkdir()
    (tmp_path / "conftest.py").write_text(CONFTEST)
    (tmp_path / "benchmarks" / "test_generation.py").write_text(TEST)
    (tmp_path / "five.txt").write_text("one\ntwo\nthree\nfour\nfive\n")
    take(tmp_path, 3.0)
    return tmp_path


def take(project, bright_s, dim_s=3.0):
    """So long the models take from now on."""
    (project / "seconds.json").write_text(f'{{"256": {bright_s}, "128": {dim_s}}}')


def session(project, *more):
    command = [sys.executable, "-m", "pytest", *ASKED, *more]
    return subprocess.Popen(command, cwd=project, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)


def result(project, output="reports"):
    """The newest run, and what must be the same wherever it ran."""
    run, records, warnings = journal.read(max((project / output / "runs").iterdir()))
    assert not warnings
    return run, {one.nodeid: (one.status, one.clip.digest, one.measurement("brightness").value) for one in records}


def wait_for_a_session_on(project, worker):
    """Until it has a record and goes on; the shard that it runs."""
    until = time.monotonic() + PATIENCE_S
    while time.monotonic() < until:
        for path in project.glob("reports/jobs/*/attempts/*/*.jsonl"):
            text = path.read_text()
            if f'"worker":"{worker}"' in text and '"schema":2,"setup"' in text and '"event":"end"' not in text:
                return path.parent.name
        time.sleep(0.2)
    raise AssertionError(f"no session on {worker} has ended a test")


def check_against_one_machine(project, job):
    said, _ = job.communicate(timeout=PATIENCE_S)
    assert job.returncode == 0, said
    alone = session(project, "--vdb-output=one")
    assert alone.communicate(timeout=PATIENCE_S)
    run, merged = result(project)
    assert merged == result(project, "one")[1]
    assert len(merged) == 10
    return run.summary["job"]


def check_that_it_is_split(project, *options):
    """One model takes longer than an earlier run has foretold: the worker that idles takes over a part of it."""
    (project / "five.txt").write_text("".join(f"prompt {number}\n" for number in range(16)))
    take(project, 0.1, 0.1)
    assert session(project).wait(timeout=PATIENCE_S) == 0
    alone = result(project)[1]
    take(project, 4.0, 0.1)
    job = session(project, *options)
    said, _ = job.communicate(timeout=PATIENCE_S)
    assert job.returncode == 0, said
    run, merged = result(project)
    assert merged == alone
    assert run.summary["job"]["shards"] > 2, said
    assert run.summary["job"]["duplicates"] == 0


# Ray ------------------------------------------------------------------------------------------------------------------


@pytest.fixture
def ray(project, monkeypatch):
    """A cluster of two nodes with a GPU each."""
    pytest.importorskip("ray")
    for name, value in (("RAY_AUTH_MODE", "disabled"), ("RAY_USAGE_STATS_ENABLED", "0")):
        monkeypatch.setenv(name, value)
    from ray.cluster_utils import Cluster

    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 0, "num_gpus": 0, **MEMORY})
    (project / "machines.toml").write_text(f'[ray]\naddress = "{cluster.address}"\nenvironment = ["RAY_AUTH_MODE"]\n')
    yield cluster, [cluster.add_node(num_cpus=1, num_gpus=1, **MEMORY) for _ in range(2)]
    cluster.shutdown()


def test_ray_runs_elsewhere_what_a_killed_node_ran(project, ray):
    cluster, nodes = ray
    job = session(project, "--vdb-on=ray", "--vdb-machines=machines.toml")
    wait_for_a_session_on(project, f"ray-{nodes[1].node_id[:8]}")
    cluster.remove_node(nodes[1], allow_graceful=False)
    cluster.add_node(num_cpus=1, num_gpus=1, **MEMORY)
    assert check_against_one_machine(project, job)["ended"]["without a word"] == 1


def test_ray_keeps_a_job_on_the_nodes_that_it_was_told(project, ray):
    cluster, _ = ray
    only = cluster.add_node(num_cpus=1, num_gpus=1, resources={"of_one_kind": 1}, **MEMORY)
    with (project / "machines.toml").open("a") as machines:
        machines.write("workers = 3\nresources = { of_one_kind = 1 }\n")
    said, _ = session(project, "--vdb-on=ray", "--vdb-machines=machines.toml").communicate(timeout=PATIENCE_S)
    attempts = [path.read_text() for path in project.glob("reports/jobs/*/attempts/*/*.jsonl")]
    assert len(attempts) > 1, said
    assert all(f'"worker":"ray-{only.node_id[:8]}"' in text for text in attempts)


def test_ray_takes_what_is_split_while_it_runs(project, ray):
    check_that_it_is_split(project, "--vdb-on=ray", "--vdb-machines=machines.toml")


# Slurm ----------------------------------------------------------------------------------------------------------------

CONF = """
ClusterName=vdb
SlurmctldHost={host}(127.0.0.1)
SlurmUser=root
SlurmdUser=root
AuthType=auth/munge
AuthInfo=socket={place}/munge/socket
SlurmctldPort={ports[0]}
SlurmctldPidFile={place}/ctld.pid
SlurmdPidFile={place}/%n.pid
SlurmdSpoolDir={place}/%n
StateSaveLocation={place}/state
ProctrackType=proctrack/pgid
TaskPlugin=task/none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core
AccountingStorageType=accounting_storage/none
SlurmdTimeout=15
ReturnToService=2
GresTypes=gpu
NodeName=n1 NodeHostname={host} NodeAddr=127.0.0.1 Port={ports[1]} CPUs=1 Gres=gpu:1 State=UNKNOWN
NodeName=n2 NodeHostname={host} NodeAddr=127.0.0.1 Port={ports[2]} CPUs=1 Gres=gpu:1 State=UNKNOWN
PartitionName=main Nodes=n1,n2 Default=YES MaxTime=INFINITE State=UP
"""
DAEMONS = ("munged", "slurmctld", "slurmd")


def free_ports(count):
    with contextlib.ExitStack() as held:
        sockets = [held.enter_context(socket.socket()) for _ in range(count)]
        for one in sockets:
            one.bind(("127.0.0.1", 0))
        return [one.getsockname()[1] for one in sockets]


class Slurm:
    """A controller and two nodes with a GPU each, which is /dev/null by another name."""

    def __init__(self, place: Path) -> None:
        self.place = place
        self.conf = place / "slurm.conf"
        self._started: dict[str, subprocess.Popen[bytes]] = {}
        for folder in ("munge", "state", "n1", "n2"):
            (place / folder).mkdir(parents=True)
        (place / "munge").chmod(0o700)
        self.conf.write_text(CONF.format(host=socket.gethostname().partition(".")[0], place=place, ports=free_ports(3)))
        gres = []
        for number, node in enumerate(("n1", "n2")):
            os.mknod(place / f"gpu{number}", 0o020666, os.makedev(1, 3))
            gres.append(f"NodeName={node} Name=gpu File={place}/gpu{number}\n")
        (place / "gres.conf").write_text("".join(gres))
        key = place / "munge" / "key"
        key.write_bytes(secrets.token_bytes(128))
        key.chmod(0o600)
        files = [f"--{name}={place}/munge/{name.partition('-')[0]}" for name in ("socket", "key-file", "pid-file")]
        logs = [f"--seed-file={place}/munge/seed", f"--log-file={place}/munge/log"]
        self._start("munged", "munged", "--foreground", "--force", *files, *logs)
        time.sleep(1)
        self._start("slurmctld", "slurmctld", "-D", "-f", str(self.conf))
        for node in ("n1", "n2"):
            self.start_node(node)

    def _start(self, name: str, *command: str) -> None:
        log = (self.place / f"{name}.log").open("wb")
        self._started[name] = subprocess.Popen(command, stdout=log, stderr=log)

    def start_node(self, node: str) -> None:
        self._start(node, "slurmd", "-D", "-N", node, "-f", str(self.conf))

    def kill_node(self, node: str) -> None:
        """The daemon, and all that it started: what is told its name, and the steps above that."""
        self._started[node].kill()
        self._started[node].wait()
        doomed = {one for one in psutil.process_iter() if _environment(one).get("SLURMD_NODENAME") == node}
        doomed |= {step for one in doomed for step in one.parents() if step.name() == "slurmstepd"}
        for one in doomed:
            with contextlib.suppress(psutil.Error):
                one.send_signal(signal.SIGKILL)

    def answers(self) -> bool:
        tried = subprocess.run(["srun", "-n1", "true"], capture_output=True, timeout=60, check=False)
        return tried.returncode == 0

    def stop(self) -> None:
        for process in reversed(self._started.values()):
            process.terminate()
            process.wait(20)


def _environment(process: psutil.Process) -> dict[str, str]:
    try:
        return process.environ()
    except (psutil.Error, OSError):
        return {}


@pytest.fixture
def slurm(tmp_path_factory) -> Iterator[Slurm]:
    if os.geteuid() != 0 or not all(map(shutil.which, DAEMONS)):
        pytest.skip(f"needs {', '.join(DAEMONS)}, and to be root")
    slurm = Slurm(tmp_path_factory.mktemp("slurm"))
    yield slurm
    slurm.stop()


@pytest.fixture
def queue(project, slurm, monkeypatch):
    """The machines of a Slurm that answers."""
    pytest.importorskip("submitit")
    monkeypatch.setenv("SLURM_CONF", str(slurm.conf))
    waited_for(slurm.answers)
    machines = '[slurm]\nworkers = 2\npoll_s = 1\nslurm_partition = "main"\ntimeout_min = 10\ncpus_per_task = 1\n'
    (project / "machines.toml").write_text(machines)
    return slurm


def test_slurm_runs_again_what_a_killed_node_ran(project, queue):
    job = session(project, "--vdb-on=slurm", "--vdb-machines=machines.toml")
    wait_for_a_session_on(project, "n2")
    queue.kill_node("n2")
    time.sleep(30)  # longer than SlurmdTimeout: the node is down, and its job is queued again
    queue.start_node("n2")
    assert check_against_one_machine(project, job)["ended"]["without a word"] == 1


def test_slurm_takes_what_is_split_while_it_runs(project, queue):
    check_that_it_is_split(project, "--vdb-on=slurm", "--vdb-machines=machines.toml")


SCRIPTS = Path(__file__).parent.parent.parent / "deploy" / "slurm"
AS_HERE = ("--partition=main", "--mem=0", "--cpus-per-task=1")


def submitted(script, *arguments, array):
    command = ["sbatch", "--parsable", f"--array={array}", *AS_HERE, SCRIPTS / script, *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()


def queued():
    return subprocess.run(["squeue", "--noheader", "--format=%i %T"], capture_output=True, text=True, check=True).stdout


def test_an_array_runs_shards_by_number_and_one_that_is_told_to_go_again(tmp_path, slurm, monkeypatch):
    monkeypatch.setenv("SLURM_CONF", str(slurm.conf))
    monkeypatch.chdir(tmp_path)
    waited_for(slurm.answers)
    started = Started(tmp_path)
    submitted("by-number.sbatch", started.place, *started.asked("fail"), array="0-2")
    waited_for(lambda: queued() == "")
    assert {path.read_text() for path in tmp_path.glob("vdb-shards-*.log")} == {""}
    assert (tmp_path / "began").read_text() in {f"{tmp_path}/job/shards/{name}.json" for name in "abc"}
    (tmp_path / "began").unlink()
    job = submitted("by-number.sbatch", started.place, *started.asked("wait"), array="1")
    waited_for((tmp_path / "began").is_file)
    subprocess.run(["scancel", "--batch", "--signal=TERM", f"{job}_1"], check=True)
    waited_for(lambda: queued().split() == [f"{job}_1", "PENDING"])
    assert "b.json: its session was told to go" in (tmp_path / f"vdb-shards-{job}_1.log").read_text()
    subprocess.run(["scancel", job], check=True)


# Kubernetes -----------------------------------------------------------------------------------------------------------


@pytest.mark.skipif(importlib.util.find_spec("kubernetes") is None, reason="the client of Kubernetes is not installed")
def test_kubernetes_goes_on_when_a_pod_the_api_server_and_the_coordinator_are_lost(project, monkeypatch):
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    image = {"PATH": path, "PYTHONPATH": os.environ.get("PYTHONPATH", ""), "VDB_CACHE_DIR": str(project / "cache")}
    with running_cluster({"vdb:1": image}) as cluster:
        (project / "kubeconfig").write_text(cluster.kubeconfig)
        monkeypatch.setenv("KUBECONFIG", str(project / "kubeconfig"))
        machines = '[kubernetes]\nworkers = 2\ngpus = 0\npoll_s = 0.5\nimage = "vdb:1"\n'
        (project / "machines.toml").write_text(machines)
        there = ("--vdb-on=kubernetes", "--vdb-machines=machines.toml")
        first = session(project, *there)
        shard = wait_for_a_session_on(project, NODE)
        (numbered,) = project.glob("reports/jobs/*/lists/*.json")
        (job,) = cluster.jobs.values()
        job.running[json.loads(numbered.read_text())["shards"].index(shard)].kill()
        cluster.go_away()
        time.sleep(5)
        cluster.come_back()
        time.sleep(2)
        first.kill()
        first.communicate()
        told = check_against_one_machine(project, session(project, *there))
        assert told["duplicates"] == 0
        assert told["ended"]["without a word"] >= 1  # and whose shard is finished before it has said so
        assert list(cluster.jobs.values()) == [job], "who came later followed it"
