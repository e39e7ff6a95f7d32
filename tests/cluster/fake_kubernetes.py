"""An API server of Kubernetes for one kind of object, and what stands behind it: Indexed Jobs whose pods are processes.

It speaks HTTP to the real client, and does with an Indexed Job what the documentation says: a pod for each index, at
most `parallelism` at a time, tried again up to `backoffLimitPerIndex`, unless `podFailurePolicy` ignores how it ended.
It knows no nodes, volumes, resources and users, and waits not between tries.
"""

from __future__ import annotations

import contextlib
import itertools
import json
import os
import re
import signal
import subprocess
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import psutil

NODE = "node-a"
_LOOKS_UP_S = 0.02
_JOBS = re.compile(r"/apis/batch/v1/namespaces/(?P<namespace>[\w-]+)/jobs(?:/(?P<name>[\w-]+))?")
_PODS = re.compile(r"/api/v1/namespaces/(?P<namespace>[\w-]+)/pods")
_VERSION = "1.31"
"""Whose schema a Job must follow."""

Json = dict[str, Any]


@dataclass
class Pod:
    """One try of one index."""

    name: str
    index: int
    process: subprocess.Popen[bytes] | None
    """None: its image cannot be had."""
    said: Any
    created: datetime
    is_disrupted: bool = False

    @property
    def status(self) -> int | None:
        """As Kubernetes counts: 137 for SIGKILL; None: it runs, or will never start."""
        code = None if self.process is None else self.process.poll()
        return 128 - code if code is not None and code < 0 else code

    def last_words(self) -> str:
        self.said.seek(0)
        return self.said.read().decode()[-2048:]

    def kill(self) -> None:
        """With all that it started, as a node that is lost."""
        if self.process is not None:
            with contextlib.suppress(psutil.Error):
                for one in (
                    *psutil.Process(self.process.pid).children(recursive=True),
                    psutil.Process(self.process.pid),
                ):
                    one.kill()

    def told_to_go(self) -> None:
        if self.process is not None and self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)


@dataclass
class Job:
    """What became of it so far."""

    manifest: Json
    pods: list[Pod] = field(default_factory=list)
    running: dict[int, Pod] = field(default_factory=dict)
    failures: Counter[int] = field(default_factory=Counter)
    completed: set[int] = field(default_factory=set)
    failed: set[int] = field(default_factory=set)
    given_up: tuple[str, str] | None = None
    """Reason and message."""

    @property
    def spec(self) -> Json:
        return self.manifest["spec"]

    def status(self) -> Json:
        status: Json = {
            "active": len(self.running),
            "ready": sum(pod.process is not None for pod in self.running.values()),
            "completedIndexes": in_few_words(self.completed),
            "failedIndexes": in_few_words(self.failed),
        }
        end = None if self.given_up is None else ("Failed", *self.given_up)
        if len(self.completed | self.failed) == self.spec["completions"]:
            all_well = "Complete", "CompletionsReached", "all succeeded"
            end = ("Failed", "FailedIndexes", "some failed") if self.failed else all_well
        if end is not None:
            status["conditions"] = [{"type": end[0], "status": "True", "reason": end[1], "message": end[2]}]
        return status

    def counts(self, pod: Pod) -> bool:
        """Whether that end is a failure, by the first rule that speaks of it."""
        for rule in self.spec["podFailurePolicy"]["rules"]:
            assert rule["action"] == "Ignore", "this server knows no other"
            if pod.is_disrupted and any(one["type"] == "DisruptionTarget" for one in rule.get("onPodConditions", ())):
                return False
            if pod.status in rule.get("onExitCodes", {}).get("values", ()):
                return False
        return True


def in_few_words(indexes: set[int]) -> str:
    """{0, 2, 3, 4} -> `0,2-4`."""
    runs = itertools.groupby(enumerate(sorted(indexes)), key=lambda pair: pair[1] - pair[0])
    ends = [[index for _, index in run] for _, run in runs]
    return ",".join(str(run[0]) if len(run) == 1 else f"{run[0]}-{run[-1]}" for run in ends)


def expanded(text: str, variables: dict[str, str]) -> str:
    """`$(NAME)` by its value, `$$` by a dollar."""

    def one(found: re.Match[str]) -> str:
        if found[0] == "$$":
            return "$"
        return variables.get(found[1], found[0])

    return re.sub(r"\$\$|\$\((\w+)\)", one, text)


class Cluster:
    """A controller, a kubelet and the API server before them."""

    def __init__(self, images: dict[str, dict[str, str]]) -> None:
        self.images = images
        """What each has in its environment."""
        self.secrets: dict[str, dict[str, str]] = {}
        self.jobs: dict[str, Job] = {}
        self.forbids = False
        self.asked: list[str] = []
        """Method and path of every request."""
        self._lock = threading.RLock()
        self._stopped = threading.Event()
        self._server: ThreadingHTTPServer | None = None
        self._port = 0
        self.come_back()
        self._controller = threading.Thread(target=self._control)
        self._controller.start()

    # For tests ------------------------------------------------------------------------------------------------------

    @property
    def kubeconfig(self) -> str:
        cluster = {"name": "fake", "cluster": {"server": f"http://127.0.0.1:{self._port}"}}
        context = {"name": "fake", "context": {"cluster": "fake", "user": "fake"}}
        about: Json = {"apiVersion": "v1", "kind": "Config", "current-context": "fake", "clusters": [cluster]}
        return json.dumps({**about, "contexts": [context], "users": [{"name": "fake", "user": {}}]})

    def go_away(self) -> None:
        """Pods run on; nobody answers."""
        assert self._server is not None
        self._server.shutdown()
        self._server.server_close()
        self._server = None

    def come_back(self) -> None:
        self._server = ThreadingHTTPServer(("127.0.0.1", self._port), _handler_of(self))
        self._port = self._server.server_address[1]
        threading.Thread(target=self._server.serve_forever, args=(0.02,)).start()

    def give_up(self, name: str, reason: str, message: str) -> None:
        with self._lock:
            self.jobs[name].given_up = reason, message
            for pod in self.jobs[name].running.values():
                pod.told_to_go()

    def evict(self, pod: Pod) -> None:
        """As a spot machine that is taken away."""
        pod.is_disrupted = True
        pod.told_to_go()

    def stop(self) -> None:
        self._stopped.set()
        self._controller.join()
        for job in list(self.jobs.values()):
            for pod in job.pods:
                pod.kill()
        if self._server is not None:
            self.go_away()

    # The API --------------------------------------------------------------------------------------------------------

    def answer(self, method: str, path: str, query: dict[str, list[str]], body: Json) -> tuple[int, Json]:
        with self._lock:
            self.asked.append(f"{method} {path}")
            if self.forbids:
                return _refusal(403, "jobs.batch is forbidden: who you are may not")
            if found := _JOBS.fullmatch(path):
                if found["name"] is None:
                    return self._create(body) if method == "POST" else (200, self._jobs_with(query))
                job = self.jobs.get(found["name"])
                if job is None:
                    return _refusal(404, f'jobs.batch "{found["name"]}" not found')
                if method == "DELETE":
                    self.delete(found["name"])
                return 200, {**job.manifest, "status": job.status()}
            if _PODS.fullmatch(path):
                wanted = dict(one.split("=") for one in query["labelSelector"][0].split(","))
                return 200, {"apiVersion": "v1", "kind": "PodList", "items": self._pods_with(wanted)}
        return _refusal(404, f"nothing is known of {path}")

    def delete(self, name: str) -> None:
        job = self.jobs.pop(name)
        for pod in job.pods:
            pod.told_to_go()

    def _create(self, manifest: Json) -> tuple[int, Json]:
        name = manifest["metadata"]["name"]
        if name in self.jobs:
            return _refusal(409, f'jobs.batch "{name}" already exists')
        wrong = why_refused(manifest)
        if wrong is not None:
            return _refusal(422, wrong)
        self.jobs[name] = Job(manifest)
        return 201, {**manifest, "status": {}}

    def _jobs_with(self, query: dict[str, list[str]]) -> Json:
        label, value = query["labelSelector"][0].split("=")
        items = [
            {**job.manifest, "status": job.status()}
            for job in self.jobs.values()
            if job.manifest["metadata"]["labels"].get(label) == value
        ]
        return {"apiVersion": "batch/v1", "kind": "JobList", "items": items}

    def _pods_with(self, labels: dict[str, str]) -> list[Json]:
        job = self.jobs.get(labels["batch.kubernetes.io/job-name"])
        index = labels.get("batch.kubernetes.io/job-completion-index")
        pods = job.pods if job is not None else []
        return [_told_of(pod) for pod in pods if index is None or pod.index == int(index)]

    # The controller -------------------------------------------------------------------------------------------------

    def _control(self) -> None:
        while not self._stopped.wait(_LOOKS_UP_S):
            with self._lock:
                for job in self.jobs.values():
                    self._look_after(job)

    def _look_after(self, job: Job) -> None:
        for index, pod in list(job.running.items()):
            if pod.status is None:
                continue
            del job.running[index]
            if pod.status == 0:
                job.completed.add(index)
            elif job.counts(pod):
                job.failures[index] += 1
                if job.failures[index] > job.spec["backoffLimitPerIndex"]:
                    job.failed.add(index)
        if job.spec.get("suspend") or job.given_up is not None:
            return
        left = [index for index in range(job.spec["completions"]) if index not in job.completed | job.failed]
        for index in left:
            if len(job.running) < job.spec["parallelism"] and index not in job.running:
                job.running[index] = pod = self._started(job, index)
                job.pods.append(pod)

    def _started(self, job: Job, index: int) -> Pod:
        """The kubelet's work."""
        (container,) = job.spec["template"]["spec"]["containers"]
        said, process = tempfile.TemporaryFile(), None  # noqa: SIM115 - as long as the pod is remembered
        if container["image"] in self.images:
            variables = {"JOB_COMPLETION_INDEX": str(index)}
            for source in container.get("envFrom", ()):
                variables |= self.secrets[source["secretRef"]["name"]]
            for one in container.get("env", ()):
                variables[one["name"]] = NODE if "valueFrom" in one else expanded(one["value"], variables)
            process = subprocess.Popen(
                [expanded(one, variables) for one in container["command"]],
                cwd=container["workingDir"],
                env=self.images[container["image"]] | variables,
                stdin=subprocess.DEVNULL,
                stdout=said,
                stderr=said,
                start_new_session=True,
            )
        name = f"{job.manifest['metadata']['name']}-{index}-{len(job.pods):05}"
        return Pod(name, index, process, said, datetime.now(UTC))


def why_refused(manifest: Json) -> str | None:
    """What the schema has against it; nothing, where that cannot be asked here."""
    try:
        import kubernetes_validate
    except ImportError:
        return None
    try:
        kubernetes_validate.validate(manifest, _VERSION, strict=True)
    except kubernetes_validate.ValidationError as problem:
        return f"{problem.path}: {problem.message}"
    return None


def _refusal(status: int, message: str) -> tuple[int, Json]:
    return status, {"apiVersion": "v1", "kind": "Status", "status": "Failure", "message": message, "code": status}


def _told_of(pod: Pod) -> Json:
    state: Json = {"running": {}}
    if pod.process is None:
        state = {"waiting": {"reason": "ImagePullBackOff", "message": "there is no such image"}}
    elif pod.status is not None:
        state = {"terminated": {"exitCode": pod.status, "reason": "Error", "message": pod.last_words()}}
    container = {"name": "shard", "image": "i", "imageID": "", "ready": True, "restartCount": 0, "state": state}
    return {
        "metadata": {"name": pod.name, "creationTimestamp": pod.created.isoformat()},
        "spec": {"containers": [{"name": "shard"}]},
        "status": {"containerStatuses": [container]},
    }


def _handler_of(cluster: Cluster) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def _answer(self) -> None:
            asked = urlsplit(self.path)
            length = int(self.headers.get("Content-Length") or 0)
            body = json.loads(self.rfile.read(length) or b"{}")
            status, answer = cluster.answer(self.command, asked.path, parse_qs(asked.query), body)
            text = json.dumps(answer).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(text)))
            self.end_headers()
            self.wfile.write(text)

        do_GET = do_POST = do_DELETE = _answer  # noqa: N815 - http.server's names

        def log_message(self, format: str, *args: Any) -> None:
            """Tests need none."""

    return Handler


@contextlib.contextmanager
def running_cluster(images: dict[str, dict[str, str]]) -> Iterator[Cluster]:
    """Until the test ends."""
    cluster = Cluster(images)
    try:
        yield cluster
    finally:
        cluster.stop()


def image_with(folder: Path, python: str) -> dict[str, str]:
    """The environment of an image whose `python` is this script of a shell: a pod costs a millisecond."""
    folder.mkdir()
    script = folder / "python"
    script.write_text(f"#!/bin/sh\n{python}\n")
    script.chmod(0o755)
    return {"PATH": f"{folder}{os.pathsep}/usr/bin:/bin"}


def waited_for(found: Any, patience_s: float = 60) -> Any:
    """What is there in the end."""
    until = time.monotonic() + patience_s
    while not (answer := found()):
        assert time.monotonic() < until, "it did not happen"
        time.sleep(0.02)
    return answer
