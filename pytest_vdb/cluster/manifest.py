"""An Indexed Job of Kubernetes as its manifest: a pod for each shard, which knows it by its number."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from typing import Any

import msgspec

from pytest_vdb.cluster.jobs import PREEMPTED, WORKER
from pytest_vdb.cluster.running import Task
from pytest_vdb.errors import EngineError, UnknownName

CONTAINER = "shard"
"""What the one container of each pod is called."""
WORK = "pytest-vdb/work"
"""The label of a Job by which one is found that does the same work."""
_WHERE = "[kubernetes] of --vdb-machines"
_READ_ONLY = ":ro"
_SCRATCH = "/tmp"
"""Of the pod, which is nobody's home."""
_OF_THIS_MACHINE = frozenset({"PYTHONPATH", "VDB_CACHE_DIR"})
"""Variables that name folders of the machine where the command is typed: an image has its own."""
_SAYS_SECRET = re.compile(r"TOKEN|SECRET|PASSW|CREDENTIAL|APIKEY|(^|_)KEYS?(_|$)", re.IGNORECASE)
"""Names of variables whose values are nobody's business: a manifest is read by everybody who may look at the Job."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PodSettings:
    """What the table `[kubernetes]` of the file of machines says, besides `workers` and `gpus`."""

    image: str
    """With Python, this package, and the project."""
    namespace: str = "default"
    context: str | None = None
    """Of the kubeconfig; None: the current one, or that of the pod in which the command runs."""
    service_account: str | None = None
    """Of the pods, for a bucket's credentials, say; their token of Kubernetes is not mounted."""
    queue: str | None = None
    """A LocalQueue of Kueue, which starts the Job when there is room."""
    folder: str | None = None
    """Where the project lies in the pods; None: where the command is typed."""
    claims: Mapping[str, str] = field(default_factory=dict)
    """PersistentVolumeClaim -> where the pods see it; `:ro` behind it: to read."""
    secrets: tuple[str, ...] = ()
    """Secrets whose entries become variables of the pods."""
    variables: Mapping[str, str] = field(default_factory=dict)
    """Of the pods alone."""
    environment: tuple[str, ...] = ()
    """Names of variables that go along."""
    cpu: str | int | None = None
    memory: str | None = None
    """As Kubernetes writes it (`64Gi`): what a pod is promised, and the most it may take."""
    gpu_resource: str = "nvidia.com/gpu"
    user: int = 65534
    """And group, by number; root is refused."""
    grace_s: int = 60
    """Between SIGTERM and SIGKILL; a session needs up to half of it to store what it has."""
    keep_s: int = 86_400
    """How long the ended Job and the logs of its pods stay."""
    poll_s: float = 10.0
    pod: Mapping[str, Any] = field(default_factory=dict)
    """More of the pod's own manifest: `nodeSelector`, `priorityClassName`, `imagePullSecrets`, ..."""


def pod_settings(table: Mapping[str, Any]) -> PodSettings:
    """The user's table, checked.

    Raises:
        UnknownName: a setting that there is not.
        EngineError: one of another kind, no image, or root.
    """
    known = [one.name for one in fields(PodSettings)]
    for name in table:
        if name not in known:
            raise UnknownName("setting", name, known, where=_WHERE)
    try:
        settings = msgspec.convert(dict(table), PodSettings)
    except msgspec.ValidationError as problem:
        mend = 'it needs an image at least: image = "REGISTRY/NAME:TAG"'
        raise EngineError(str(problem), where=_WHERE, mend=mend) from None
    if settings.user <= 0:
        mend = "give the number of a user that the image's files let read them"
        raise EngineError(f"user = {settings.user}: pods are not root", where=_WHERE, mend=mend)
    return settings


def job_manifest(
    *,
    name: str,
    command: Sequence[str],
    task: Task,
    shards: int,
    at_a_time: int,
    retries: int,
    gpus: int,
    settings: PodSettings,
    work: str | None = None,
) -> dict[str, Any]:
    """The Job as the API takes it.

    An evicted pod, and one whose session was told to go, does not count as a failure; of others a shard has `retries`,
    and none ends the other shards.

    Args:
        name: of the Job.
        command: of each pod.
        task: any of those that are handed out: folder and environment are those of all.
        shards: how many pods shall succeed.
        at_a_time: how many of them may run at once.
        retries: of each shard.
        gpus: of each pod.
        settings: the user's.
        work: the same for Jobs that do the same work, by which one is found again.

    Raises:
        EngineError: a secret would stand in it.
    """
    labels = {"app.kubernetes.io/name": "pytest-vdb"}
    queue = {} if settings.queue is None else {"kueue.x-k8s.io/queue-name": settings.queue}
    found_by = {} if work is None else {WORK: work}
    return {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {"name": name, "namespace": settings.namespace, "labels": labels | queue | found_by},
        "spec": {
            "completionMode": "Indexed",
            "completions": shards,
            "parallelism": min(at_a_time, shards),
            "suspend": bool(queue),  # until Kueue has room
            "backoffLimitPerIndex": retries,
            "podFailurePolicy": {
                "rules": [
                    {"action": "Ignore", "onPodConditions": [{"type": "DisruptionTarget", "status": "True"}]},
                    {
                        "action": "Ignore",
                        "onExitCodes": {"containerName": CONTAINER, "operator": "In", "values": [PREEMPTED]},
                    },
                ]
            },
            "ttlSecondsAfterFinished": settings.keep_s,
            "template": {
                "metadata": {"labels": labels},
                "spec": _merged(_pod(command, task, gpus, settings), settings.pod),
            },
        },
    }


def _pod(command: Sequence[str], task: Task, gpus: int, settings: PodSettings) -> dict[str, Any]:
    """Without root, capabilities or a token of Kubernetes."""
    volumes, mounts = _volumes(settings)
    container = {
        "name": CONTAINER,
        "image": settings.image,
        "command": [_taken_literally(one) for one in command],
        "workingDir": settings.folder or task.folder,
        "env": _variables(task.environment, settings),
        "envFrom": [{"secretRef": {"name": secret}} for secret in settings.secrets],
        "resources": _resources(gpus, settings),
        "securityContext": {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}},
        "terminationMessagePolicy": "FallbackToLogsOnError",  # the last words of a session that died
        "volumeMounts": mounts,
    }
    account = {} if settings.service_account is None else {"serviceAccountName": settings.service_account}
    return {
        "restartPolicy": "Never",
        "terminationGracePeriodSeconds": settings.grace_s,
        "automountServiceAccountToken": False,
        "securityContext": {
            "runAsNonRoot": True,
            "runAsUser": settings.user,
            "runAsGroup": settings.user,
            "fsGroup": settings.user,
            "seccompProfile": {"type": "RuntimeDefault"},
        },
        **account,
        "tolerations": [{"key": settings.gpu_resource, "operator": "Exists", "effect": "NoSchedule"}] if gpus else [],
        "containers": [container],
        "volumes": volumes,
    }


def _variables(environment: Mapping[str, str], settings: PodSettings) -> list[dict[str, Any]]:
    """What goes along, what the user gives the pods, and the node as the place where a session ran."""
    stays = _OF_THIS_MACHINE - set(settings.environment)
    along = {name: value for name, value in environment.items() if name not in stays}
    values = {"HOME": _SCRATCH} | along | dict(settings.variables)
    for name in values:
        if _SAYS_SECRET.search(name):
            what = f"{name} looks like a secret, and the manifest of a Job is no place for one"
            mend = f'kubectl create secret generic vdb --from-literal={name}=..., and name it: secrets = ["vdb"]'
            raise EngineError(what, where=_WHERE, mend=mend)
    told = [{"name": name, "value": _taken_literally(value)} for name, value in sorted(values.items())]
    return [*told, {"name": WORKER, "valueFrom": {"fieldRef": {"fieldPath": "spec.nodeName"}}}]


def _taken_literally(text: str) -> str:
    """`$(NAME)` would become the value of a variable; `$$` is a dollar."""
    return text.replace("$", "$$")


def _resources(gpus: int, settings: PodSettings) -> dict[str, Any]:
    asked = {"cpu": settings.cpu, "memory": settings.memory}
    requests = {name: str(much) for name, much in asked.items() if much is not None}
    most = {name: much for name, much in requests.items() if name == "memory"}
    cards = {settings.gpu_resource: str(gpus)} if gpus else {}
    return {"requests": requests | cards, "limits": most | cards}


def _volumes(settings: PodSettings) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """Scratch, shared memory for clips of isolated models (a container has 64 MiB), and the user's claims."""
    volumes: list[dict[str, Any]] = [
        {"name": "scratch", "emptyDir": {}},
        {"name": "shared-memory", "emptyDir": {"medium": "Memory"}},
    ]
    mounts: list[dict[str, Any]] = [
        {"name": "scratch", "mountPath": _SCRATCH},
        {"name": "shared-memory", "mountPath": "/dev/shm"},
    ]
    for claim, place in settings.claims.items():
        to_read = place.endswith(_READ_ONLY)
        volumes.append({"name": claim, "persistentVolumeClaim": {"claimName": claim, "readOnly": to_read}})
        mounts.append({"name": claim, "mountPath": place.removesuffix(_READ_ONLY), "readOnly": to_read})
    return volumes, mounts


def _merged(ours: Mapping[str, Any], theirs: Mapping[str, Any]) -> dict[str, Any]:
    """Tables key by key; anything else is theirs."""
    both = dict(ours)
    for name, value in theirs.items():
        before = both.get(name)
        both[name] = _merged(before, value) if isinstance(before, dict) and isinstance(value, dict) else value
    return both
