"""One Indexed Job: what stands in its manifest, and what the engine hears from an API server that speaks HTTP to it."""

from __future__ import annotations

import copy
import importlib.util
import threading
import time
from dataclasses import replace

import pytest
from fake_kubernetes import image_with, in_few_words, running_cluster, waited_for

from pytest_vdb.cluster.engines.contract import RETRIES, Machines, Tasks
from pytest_vdb.cluster.engines.kubernetes import indexes_in
from pytest_vdb.cluster.engines.registry import engines
from pytest_vdb.cluster.indexed import addresses_in
from pytest_vdb.cluster.jobs import PREEMPTED, WORKER
from pytest_vdb.cluster.manifest import CONTAINER, job_manifest, pod_settings
from pytest_vdb.cluster.running import Task
from pytest_vdb.errors import EngineError, UnknownName

TASK = Task(
    address="s3://bucket/job/shards/wan.0000.json",
    arguments=("benchmarks", "-k", "$(HOME) or $x"),
    folder="/home/me/project",
    environment={"VDB_BUDGET": "1", "PYTHONPATH": "/home/me", "VDB_CACHE_DIR": "/home/me/.cache"},
)
EVERYTHING = {
    "image": "registry.example/vdb:1",
    "namespace": "vdb",
    "service_account": "shards",
    "queue": "gpus",
    "folder": "/project",
    "claims": {"jobs": "/jobs", "weights": "/weights:ro"},
    "secrets": ["bucket"],
    "variables": {"HF_HOME": "/weights"},
    "cpu": 4,
    "memory": "64Gi",
    "pod": {"nodeSelector": {"nvidia.com/gpu.product": "H200"}, "securityContext": {"fsGroup": 7}},
}


def manifest(task=TASK, gpus=1, **table):
    return job_manifest(
        name="vdb-1",
        command=("python", "-m", "pytest_vdb.cluster.indexed", "s3://bucket/job/lists/vdb-1.json", *task.arguments),
        task=task,
        shards=40,
        at_a_time=8,
        retries=RETRIES,
        gpus=gpus,
        settings=pod_settings({"image": "vdb:1", **table}),
    )


def pod_of(job):
    return job["spec"]["template"]["spec"]


def variables_of(job):
    (container,) = pod_of(job)["containers"]
    return {one["name"]: one.get("value") for one in container["env"]}


# The manifest ---------------------------------------------------------------------------------------------------------

needs_schemas = pytest.mark.skipif(
    importlib.util.find_spec("kubernetes_validate") is None, reason="kubernetes-validate is not installed"
)


@needs_schemas
@pytest.mark.parametrize("version", ["1.29", "1.31", "1.33"])
@pytest.mark.parametrize("table", [{}, EVERYTHING], ids=["image alone", "everything"])
def test_the_manifest_follows_the_schema(version, table):
    import kubernetes_validate

    kubernetes_validate.validate(manifest(**table), version, strict=True)
    broken = copy.deepcopy(manifest(**table))
    broken["spec"]["backoffLimitPerIndexx"] = 2
    with pytest.raises(kubernetes_validate.ValidationError):
        kubernetes_validate.validate(broken, version, strict=True)


def test_a_pod_that_is_evicted_or_told_to_go_does_not_count_and_others_are_tried_again():
    spec = manifest()["spec"]
    assert (spec["completionMode"], spec["completions"], spec["parallelism"]) == ("Indexed", 40, 8)
    assert (spec["backoffLimitPerIndex"], spec["suspend"]) == (RETRIES, False)
    evicted, told_to_go = spec["podFailurePolicy"]["rules"]
    assert evicted == {"action": "Ignore", "onPodConditions": [{"type": "DisruptionTarget", "status": "True"}]}
    assert told_to_go["action"] == "Ignore"
    assert told_to_go["onExitCodes"] == {"containerName": CONTAINER, "operator": "In", "values": [PREEMPTED]}
    assert pod_of(manifest())["restartPolicy"] == "Never"


def test_pods_have_no_root_no_token_and_the_gpus_that_a_shard_asks_for():
    pod = pod_of(manifest(gpus=2, memory="64Gi", cpu=4))
    (container,) = pod["containers"]
    assert pod["securityContext"]["runAsNonRoot"]
    assert pod["automountServiceAccountToken"] is False
    assert container["securityContext"] == {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}}
    assert container["resources"]["limits"] == {"nvidia.com/gpu": "2", "memory": "64Gi"}
    assert container["resources"]["requests"] == {"nvidia.com/gpu": "2", "memory": "64Gi", "cpu": "4"}
    without = pod_of(manifest(gpus=0))
    assert (without["tolerations"], without["containers"][0]["resources"]["limits"]) == ([], {})


def test_all_that_the_table_says_stands_in_it():
    job = manifest(**EVERYTHING)
    pod, (container,) = pod_of(job), pod_of(job)["containers"]
    assert job["metadata"]["labels"]["kueue.x-k8s.io/queue-name"] == "gpus"
    assert job["spec"]["suspend"]
    assert (job["metadata"]["namespace"], pod["serviceAccountName"]) == ("vdb", "shards")
    assert (container["image"], container["workingDir"]) == ("registry.example/vdb:1", "/project")
    assert container["envFrom"] == [{"secretRef": {"name": "bucket"}}]
    mounted = {one["name"]: (one["mountPath"], one.get("readOnly")) for one in container["volumeMounts"]}
    assert (mounted["jobs"], mounted["weights"]) == (("/jobs", False), ("/weights", True))
    assert pod["nodeSelector"] == {"nvidia.com/gpu.product": "H200"}
    assert (pod["securityContext"]["fsGroup"], pod["securityContext"]["runAsUser"]) == (7, 65534)


def test_folders_of_this_machine_stay_here_unless_they_are_named():
    assert variables_of(manifest()) == {"HOME": "/tmp", "VDB_BUDGET": "1", WORKER: None}
    assert variables_of(manifest(environment=["PYTHONPATH"]))["PYTHONPATH"] == "/home/me"


@pytest.mark.parametrize("name", ["HF_TOKEN", "AWS_ACCESS_KEY_ID", "VDB_PASSWORD", "some_apikey"])
def test_a_secret_stands_in_no_manifest(name):
    with pytest.raises(EngineError, match=f"{name} looks like a secret") as refused:
        manifest(replace(TASK, environment={name: "xyzzy"}))
    assert "xyzzy" not in str(refused.value)
    with pytest.raises(EngineError, match="kubectl create secret"):
        manifest(variables={name: "xyzzy"})
    assert variables_of(manifest(variables={"VDB_KEYFRAMES": "3"}))["VDB_KEYFRAMES"] == "3"


@pytest.mark.parametrize(
    ("table", "says"),
    [
        ({"image": "i", "namespce": "vdb"}, "did you mean 'namespace'"),
        ({}, "image"),
        ({"image": "i", "claims": ["jobs"]}, "claims"),
        ({"image": "i", "user": 0}, "pods are not root"),
    ],
)
def test_a_table_that_nobody_understands_is_refused(table, says):
    with pytest.raises((EngineError, UnknownName), match=says):
        pod_settings(table)


# The engine and an API server -----------------------------------------------------------------------------------------

needs_client = pytest.mark.skipif(
    importlib.util.find_spec("kubernetes") is None, reason="the client of Kubernetes is not installed"
)


@pytest.fixture
def cluster(tmp_path, monkeypatch):
    """Its image `vdb:1` does what `behaviour` says; each pod writes down that it ran, and what it was told."""
    image = image_with(tmp_path / "bin", 'echo "$@" >> "ran-$JOB_COMPLETION_INDEX"; . ./behaviour')
    with running_cluster({"vdb:1": image}) as cluster:
        (tmp_path / "kubeconfig").write_text(cluster.kubeconfig)
        monkeypatch.setenv("KUBECONFIG", str(tmp_path / "kubeconfig"))
        # the client's default place is found when it is imported
        monkeypatch.setattr("kubernetes.config.kube_config.KUBE_CONFIG_DEFAULT_LOCATION", str(tmp_path / "kubeconfig"))
        yield cluster


class Handed:
    """Three shards that the engine runs."""

    def __init__(self, folder, behaviour, **table):
        (folder / "behaviour").write_text(behaviour)
        self.folder = folder
        self.further = further = []
        """Tasks that come besides, while the engine runs."""
        self.tasks = Tasks([self.task(name) for name in "abc"], lambda: [further.pop() for _ in list(further)])
        settings = {"image": "vdb:1", "poll_s": 0.05, **table}
        self.running = engines()["kubernetes"].run(self.tasks, Machines(workers=2, gpus=0, settings=settings))

    def task(self, name):
        address = f"{self.folder}/job/shards/{name}.json"
        return Task(address=address, arguments=("-k", "$(HOME) or $x"), folder=str(self.folder))

    def ended(self):
        return {ended.task.address[-6]: ended for ended in self.running}

    def tries(self, index):
        return (self.folder / f"ran-{index}").read_text().splitlines()


@pytest.mark.parametrize("indexes", [set(), {0}, {0, 2, 3, 4}, {1, 2, 5, 7, 8}])
def test_what_a_status_says_in_few_words_is_understood(indexes):
    assert indexes_in(in_few_words(indexes)) == indexes
    assert indexes_in(None) == set()


@needs_client
def test_each_shard_is_told_as_it_ends_and_one_that_dies_again_and_again_with_its_last_words(cluster, tmp_path):
    handed = Handed(tmp_path, '[ "$JOB_COMPLETION_INDEX" != 1 ] || { echo the driver hangs; exit 9; }')
    ended = handed.ended()
    assert (ended["a"].problem, ended["c"].problem) == (None, None)
    assert "status 9 (Error): the driver hangs" in ended["b"].problem
    assert (ended["b"].tries, len(handed.tries(1)), len(handed.tries(0))) == (RETRIES + 1, RETRIES + 1, 1)
    (name,) = cluster.jobs  # it stays for its logs
    place = f"{tmp_path}/job/lists/{name}.json"
    assert handed.tries(2) == [f"-m pytest_vdb.cluster.indexed {place} -k $(HOME) or $x"]
    assert addresses_in(place) == [task.address for task in handed.tasks]


@needs_client
def test_the_first_is_told_while_others_run(cluster, tmp_path):
    handed = Handed(tmp_path, '[ "$JOB_COMPLETION_INDEX" = 1 ] || exec sleep 60')
    assert next(handed.running).task is handed.tasks[1]
    (job,) = cluster.jobs.values()
    handed.running.close()
    assert cluster.jobs == {}
    waited_for(lambda: all(pod.status == 128 + 15 for pod in job.pods if pod.index != 1))


@needs_client
def test_what_is_split_meanwhile_is_a_job_of_its_own(cluster, tmp_path):
    handed = Handed(tmp_path, "true")
    handed.further += [handed.task(name) for name in ("a/part-1", "a/part-2")]
    told = [ended.task.address.removeprefix(f"{tmp_path}/job/shards/") for ended in handed.running]
    assert sorted(told) == ["a.json", "a/part-1.json", "a/part-2.json", "b.json", "c.json"]
    assert [job.spec["completions"] for job in cluster.jobs.values()] == [3, 2]


@needs_client
def test_sessions_that_were_told_to_go_do_not_count(cluster, tmp_path):
    handed = Handed(tmp_path, f'[ $(wc -l < "ran-$JOB_COMPLETION_INDEX") -gt {RETRIES + 2} ] || exit {PREEMPTED}')
    assert {ended.problem for ended in handed.running} == {None}
    assert len(handed.tries(0)) == RETRIES + 3


def evict_one_of(cluster):
    (job,) = cluster.jobs.values()
    pod = waited_for(lambda: job.running.get(0))
    cluster.evict(pod)
    waited_for(lambda: pod.status is not None)


@needs_client
def test_pods_whose_machine_is_taken_away_do_not_count(cluster, tmp_path):
    handed = Handed(tmp_path, '[ "$JOB_COMPLETION_INDEX" = 1 ] || while [ ! -e done ]; do sleep 0.05; done')
    assert next(handed.running).task is handed.tasks[1]
    for _ in range(RETRIES + 2):
        evict_one_of(cluster)
    (tmp_path / "done").touch()
    (job,) = cluster.jobs.values()
    assert [ended.problem for ended in handed.running] == [None, None]
    assert job.failures == {}


@needs_client
def test_an_api_server_that_is_away_is_waited_for(cluster, tmp_path):
    handed = Handed(tmp_path, 'while [ ! -e "go-$JOB_COMPLETION_INDEX" ]; do sleep 0.05; done')
    (tmp_path / "go-0").touch()
    assert next(handed.running).task is handed.tasks[0]
    cluster.go_away()
    back = threading.Timer(0.7, cluster.come_back)
    back.start()
    for index in (1, 2):
        (tmp_path / f"go-{index}").touch()
    assert {ended.problem for ended in handed.running} == {None}
    back.join()


@needs_client
def test_a_job_that_somebody_deletes_is_told_of_every_shard(cluster, tmp_path):
    handed = Handed(tmp_path, '[ "$JOB_COMPLETION_INDEX" = 0 ] || exec sleep 60')
    next(handed.running)
    (name,) = cluster.jobs
    cluster.delete(name)
    left = list(handed.running)
    assert [ended.task for ended in left] == handed.tasks[1:]
    assert {ended.problem for ended in left} == {f"Job {name} is gone from namespace default: it was deleted"}


@needs_client
def test_a_job_that_kubernetes_gives_up_is_told_of_every_shard_that_is_left(cluster, tmp_path):
    handed = Handed(tmp_path, '[ "$JOB_COMPLETION_INDEX" = 0 ] || exec sleep 60')
    next(handed.running)
    (name,) = cluster.jobs
    cluster.give_up(name, "DeadlineExceeded", "it was active for longer than it may")
    reason = f"Job {name}: Failed: DeadlineExceeded: it was active for longer than it may"
    assert [(ended.task, ended.problem) for ended in handed.running] == [(task, reason) for task in handed.tasks[1:]]


@needs_client
def test_a_coordinator_follows_the_job_that_another_left_behind(cluster, tmp_path):
    waits = 'while [ ! -e "go-$JOB_COMPLETION_INDEX" ]; do sleep 0.05; done'
    (tmp_path / "go-1").touch()
    dead = Handed(tmp_path, waits)  # it is never closed: as one that was killed
    assert next(dead.running).task is dead.tasks[1]
    again, results = Handed(tmp_path, waits), []
    following = threading.Thread(target=lambda: results.extend(again.running))
    following.start()
    # the storage did not know that the second shard is finished: a Job of its own runs it again
    waited_for(lambda: len(cluster.jobs) == 2)
    for index in (0, 2):
        (tmp_path / f"go-{index}").touch()
    following.join()
    assert [ended.problem for ended in results] == [None] * 3
    assert [(job.spec["completions"], len(job.pods)) for job in cluster.jobs.values()] == [(3, 3), (1, 1)]


@needs_client
def test_a_job_of_other_settings_is_no_one_elses(cluster, tmp_path):
    first, second = Handed(tmp_path, "exec sleep 60"), Handed(tmp_path, "", memory="1Gi")
    following = threading.Thread(target=lambda: list(first.running))
    following.start()
    waited_for(lambda: cluster.jobs)
    assert len(list(second.running)) == 3
    assert len(cluster.jobs) == 2
    (name, _) = cluster.jobs
    cluster.delete(name)
    following.join()


@needs_client
def test_who_may_not_submit_is_told_what_the_server_says(cluster, tmp_path):
    cluster.forbids = True
    with pytest.raises(EngineError, match=r"403 Forbidden: .* who you are may not"):
        next(Handed(tmp_path, "").running)


@needs_client
@needs_schemas
def test_more_of_a_pod_than_there_is_is_refused_by_its_name(cluster, tmp_path):
    with pytest.raises(EngineError, match="nodeSelectorr"):
        next(Handed(tmp_path, "", pod={"nodeSelectorr": {}}).running)
    assert cluster.jobs == {}


@needs_client
def test_an_image_that_cannot_be_had_ends_the_job(cluster, tmp_path):
    with pytest.raises(EngineError, match=r"no pod of Job .* starts: ImagePullBackOff: there is no such image"):
        next(Handed(tmp_path, "", image="vdb:2").running)
    assert cluster.jobs == {}


@needs_client
def test_a_job_in_a_queue_waits_until_it_is_let_in(cluster, tmp_path):
    handed = Handed(tmp_path, "", queue="gpus")
    results = []
    following = threading.Thread(target=lambda: results.extend(handed.running))
    following.start()
    (job,) = waited_for(lambda: list(cluster.jobs.values()))
    time.sleep(0.2)
    assert job.pods == []
    job.spec["suspend"] = False
    following.join()
    assert len(results) == 3


@needs_client
def test_where_no_cluster_is_known_it_is_one_sentence(tmp_path, monkeypatch):
    monkeypatch.setattr("kubernetes.config.kube_config.KUBE_CONFIG_DEFAULT_LOCATION", str(tmp_path / "none"))
    with pytest.raises(EngineError, match="no cluster is known"):
        next(Handed(tmp_path, "").running)
