"""`kubernetes`: an Indexed Job, a pod to a shard; Kubernetes places, and starts again what a lost node ran.

What is split from shards while workers idle is a Job of its own.
"""

from __future__ import annotations

import contextlib
import secrets
import time
from collections.abc import Callable, Generator, Mapping, Sequence
from typing import Any

from pytest_vdb.cluster.engines.contract import RETRIES, Ended, Engine, Machines, Tasks, needs_library
from pytest_vdb.cluster.indexed import addresses_in, job_with, list_called, put_list
from pytest_vdb.cluster.manifest import WORK, PodSettings, job_manifest, pod_settings
from pytest_vdb.cluster.running import Task
from pytest_vdb.errors import EngineError
from pytest_vdb.records import digest

_WHERE = "--vdb-on=kubernetes"
_AWAY_FOR_S = 600.0
"""How long an API server that does not answer is waited for: the pods go on without it."""
_AWAY_AT_ONCE_S = 20.0
"""The same where nothing has run yet, or the user wants to go."""
_ASKED_AGAIN_S = 1.0
_TIMEOUT_S = 30
"""Of one request."""
_HOPELESS = frozenset(
    {"ImagePullBackOff", "ErrImageNeverPull", "InvalidImageName", "CreateContainerConfigError", "CreateContainerError"}
)
"""Why a container waits that will never start: no such image, no such Secret, a path that is none."""
_TIMES_HOPELESS = 12
"""So many looks in a row at which no pod runs and one is hopeless: a registry may be away for a moment."""


def _pods_at_a_time(machines: Machines) -> int:
    _library()  # said before anything is collected
    pod_settings(machines.settings)
    if machines.workers is None:
        mend = "give --vdb-workers=N: as many pods as may run at once"
        raise EngineError("how many shards may run at a time is not known", where=_WHERE, mend=mend)
    return machines.workers


def _gpus_of_a_pod(machines: Machines) -> int:
    return 1 if machines.gpus is None else machines.gpus


def _library() -> Any:
    try:
        import kubernetes
    except ImportError as problem:
        raise needs_library("kubernetes", problem) from problem
    return kubernetes


class _ApiServer:
    """What we ask of it, in one namespace; one that is away is asked again."""

    def __init__(self, settings: PodSettings) -> None:
        self._kubernetes = library = _library()
        configuration = library.client.Configuration()
        try:
            _configure(library.config, configuration, settings.context)
        except library.config.ConfigException as problem:
            mend = "see whether `kubectl get jobs` answers here; context = NAME in [kubernetes] chooses another cluster"
            raise EngineError(f"no cluster is known: {problem}", where=_WHERE, mend=mend) from problem
        configuration.retries = 0  # those here are told apart by what went wrong
        self._client = client = library.client.ApiClient(configuration)
        self._jobs, self._pods = library.client.BatchV1Api(client), library.client.CoreV1Api(client)
        self.namespace = settings.namespace

    def close(self) -> None:
        """Its connections, which the client itself leaves open."""
        self._client.close()
        self._client.rest_client.pool_manager.clear()

    def create(self, manifest: Mapping[str, Any], patience_s: float) -> None:
        """Submit a Job whose name nobody else has: one that is there already was taken, and the answer lost."""
        self._asked(
            lambda: self._jobs.create_namespaced_job(self.namespace, manifest, _request_timeout=_TIMEOUT_S),
            of=manifest["metadata"]["name"],
            patience_s=patience_s,
            fine=(409,),
        )

    def job(self, name: str) -> Any:
        """The Job with its status; None: it is gone."""
        return self._asked(
            lambda: self._jobs.read_namespaced_job(name, self.namespace, _request_timeout=_TIMEOUT_S),
            of=name,
            fine=(404,),
        )

    def jobs_of(self, work: str) -> Sequence[Any]:
        """Those that do the same work, ended ones, too."""
        found = self._asked(
            lambda: self._jobs.list_namespaced_job(
                self.namespace, label_selector=f"{WORK}={work}", _request_timeout=_TIMEOUT_S
            ),
            of=f"of {WORK}={work}",
            patience_s=_AWAY_AT_ONCE_S,
        )
        return list(found.items)

    def pods(self, name: str, index: int | None = None) -> Sequence[Any]:
        """Those of a Job, or of one of its shards; the newest last."""
        labels = {"batch.kubernetes.io/job-name": name}
        if index is not None:
            labels["batch.kubernetes.io/job-completion-index"] = str(index)
        found = self._asked(
            lambda: self._pods.list_namespaced_pod(
                self.namespace,
                label_selector=",".join(f"{label}={value}" for label, value in labels.items()),
                _request_timeout=_TIMEOUT_S,
            ),
            of=name,
        )
        return sorted(found.items, key=lambda pod: pod.metadata.creation_timestamp)

    def delete(self, name: str) -> None:
        """The Job, and its pods with their time of grace."""
        self._asked(
            lambda: self._jobs.delete_namespaced_job(
                name, self.namespace, propagation_policy="Background", _request_timeout=_TIMEOUT_S
            ),
            of=name,
            patience_s=_AWAY_AT_ONCE_S,
            fine=(404,),
        )

    def _asked(
        self, ask: Callable[[], Any], *, of: str, patience_s: float = _AWAY_FOR_S, fine: tuple[int, ...] = ()
    ) -> Any:
        """The answer; None for a status that says what we may expect.

        Raises:
            EngineError: it refuses, or is away for too long.
        """
        from urllib3.exceptions import HTTPError

        until = time.monotonic() + patience_s
        while True:
            try:
                return ask()
            except self._kubernetes.client.ApiException as problem:
                if problem.status in fine:
                    return None
                said = f"{problem.status} {problem.reason}: {_message_in(problem.body)}"
                is_away = problem.status == 429 or problem.status >= 500
            except (HTTPError, OSError) as problem:
                said, is_away = f"{type(problem).__name__}: {str(problem)[:300]}", True
            except ValueError as problem:  # the client knows the schema, too
                said, is_away = str(problem)[:600], False
            if not is_away or time.monotonic() >= until:
                mend = f"where Job {of} is there, it goes on: kubectl -n {self.namespace} get job {of}"
                raise EngineError(f"Kubernetes did not do as it was asked: {said}", where=_WHERE, mend=mend)
            time.sleep(_ASKED_AGAIN_S)


def _configure(config: Any, configuration: Any, context: str | None) -> None:
    """From the kubeconfig, else as a pod of the cluster."""
    try:
        config.load_kube_config(context=context, client_configuration=configuration)
    except config.ConfigException as problem:
        try:
            config.load_incluster_config(client_configuration=configuration)
        except config.ConfigException:
            raise problem from None


def _message_in(body: Any) -> str:
    """Of an answer that refuses: Kubernetes says why in a field of its JSON."""
    import msgspec

    try:
        return str(msgspec.json.decode(body)["message"])[:600]
    except (msgspec.DecodeError, KeyError, TypeError):
        return str(body)[:300]


def _run_as_indexed_job(tasks: Tasks, machines: Machines) -> Generator[Ended]:
    """Pods in the order of the tasks; closed early, the Jobs are deleted, and their pods are told to go."""
    settings = pod_settings(machines.settings)
    with contextlib.closing(_ApiServer(settings)) as server:
        work = _Work(server, tasks[0], machines, settings)
        followed = work.handed_out(tasks)
        try:
            while any(job.waiting for job in followed):
                time.sleep(settings.poll_s)
                for job in followed:
                    yield from job.look()
                if further := tasks.more():
                    followed.append(work.job_for(further, _AWAY_FOR_S))
        finally:
            for job in followed:
                if job.waiting:
                    server.delete(job.name)


class _Work:
    """What all Jobs of one job of ours have in common.

    Args:
        server: which runs them.
        task: any of them.
        machines: as the user said.
        settings: likewise.
    """

    def __init__(self, server: _ApiServer, task: Task, machines: Machines, settings: PodSettings) -> None:
        self._server = server
        self._task = task
        self._machines = machines
        self._settings = settings
        self._storage = job_with(task.address)
        self._label = digest(self._manifest("", self._storage, 1, None))

    def handed_out(self, tasks: Sequence[Task]) -> list[_FollowedJob]:
        """The Jobs with the tasks: those that a coordinator left behind when it died, and a new one for the others."""
        left = {task.address: task for task in tasks}
        followed = []
        for found in self._server.jobs_of(self._label):
            if _end_of_job(found) is None:
                over = indexes_in(found.status.completed_indexes) | indexes_in(found.status.failed_indexes)
                numbered = enumerate(addresses_in(list_called(found.metadata.name, self._storage)))
                theirs = {
                    index: left.pop(address) for index, address in numbered if index not in over and address in left
                }
                followed.append(_FollowedJob(self._server, found.metadata.name, theirs))
        return [*followed, self.job_for(list(left.values()))] if left else followed

    def job_for(self, tasks: Sequence[Task], patience_s: float = _AWAY_AT_ONCE_S) -> _FollowedJob:
        """A new Job."""
        name = f"vdb-{secrets.token_hex(5)}"
        place = put_list([task.address for task in tasks], name)
        self._server.create(self._manifest(name, place, len(tasks), self._label), patience_s)
        return _FollowedJob(self._server, name, dict(enumerate(tasks)))

    def _manifest(self, name: str, place: str, shards: int, label: str | None) -> dict[str, Any]:
        return job_manifest(
            name=name,
            command=("python", "-m", "pytest_vdb.cluster.indexed", place, *self._task.arguments),
            task=self._task,
            shards=shards,
            at_a_time=_pods_at_a_time(self._machines),
            retries=RETRIES,
            gpus=_gpus_of_a_pod(self._machines),
            settings=self._settings,
            work=label,
        )


class _FollowedJob:
    """A Job, and the shards of it of which nothing is known yet."""

    def __init__(self, server: _ApiServer, name: str, waiting: dict[int, Task]) -> None:
        self.name = name
        self.waiting = waiting
        self._server = server
        self._hopeless = 0
        """Looks in a row at which no pod ran, and one never will."""

    def look(self) -> Generator[Ended]:
        """Shards whose pods have succeeded or were given up since the last look.

        Raises:
            EngineError: no pod of it will ever start.
        """
        if not self.waiting:
            return
        job = self._server.job(self.name)
        if job is None:
            yield from self._all(f"Job {self.name} is gone from namespace {self._server.namespace}: it was deleted")
            return
        for index in sorted(indexes_in(job.status.completed_indexes) & self.waiting.keys()):
            yield Ended(task=self.waiting.pop(index))
        for index in sorted(indexes_in(job.status.failed_indexes) & self.waiting.keys()):
            words = _last_words(self._server, self.name, index)
            yield Ended(task=self.waiting.pop(index), problem=words, tries=RETRIES + 1)
        end = _end_of_job(job)
        if end is not None:
            yield from self._all(f"Job {self.name}: {end}")
        elif self.waiting:
            self._check_hope(job)

    def _all(self, problem: str) -> Generator[Ended]:
        yield from (Ended(task=self.waiting.pop(index), problem=problem) for index in sorted(self.waiting))

    def _check_hope(self, job: Any) -> None:
        starts_nothing = job.status.active and not job.status.ready
        why = _why_hopeless(self._server.pods(self.name)) if starts_nothing else None
        self._hopeless = 0 if why is None else self._hopeless + 1
        if self._hopeless >= _TIMES_HOPELESS:
            mend = "mend the table [kubernetes] of --vdb-machines, and type the command again"
            raise EngineError(f"no pod of Job {self.name} starts: {why}", where=_WHERE, mend=mend)


def indexes_in(text: str | None) -> set[int]:
    """What a Job's status says in few words: `0,2-4` -> {0, 2, 3, 4}."""
    found: set[int] = set()
    for part in (text or "").split(","):
        first, _, last = part.partition("-")
        if first:
            found |= set(range(int(first), int(last or first) + 1))
    return found


def _end_of_job(job: Any) -> str | None:
    """Why nothing more will come of it; None: it goes on."""
    for condition in job.status.conditions or ():
        if condition.type in {"Complete", "Failed"} and condition.status == "True":
            return f"{condition.type}: {condition.reason}: {condition.message}"
    return None


def _last_words(server: _ApiServer, name: str, index: int) -> str:
    """Of the newest pod of a shard that was given up."""
    pods = server.pods(name, index)
    states = [status.state.terminated for status in (pods[-1].status.container_statuses or ())] if pods else []
    if not states or states[0] is None:
        return f"pod {index} of Job {name} failed, and nothing is left that says why"
    end = states[0]
    return (
        f"pod {pods[-1].metadata.name} ended with status {end.exit_code} ({end.reason}): {(end.message or '')[-600:]}"
    )


def _why_hopeless(pods: Sequence[Any]) -> str | None:
    for pod in pods:
        for status in pod.status.container_statuses or ():
            waits = status.state.waiting
            if waits is not None and waits.reason in _HOPELESS:
                return f"{waits.reason}: {(waits.message or '')[:300]}"
    return None


ENGINE = Engine(
    name="kubernetes",
    extra="kubernetes",
    workers=_pods_at_a_time,
    gpus=_gpus_of_a_pod,
    run=_run_as_indexed_job,
    grows=True,
)
