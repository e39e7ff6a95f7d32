"""The files of `deploy/`: they name what there is, follow the schemas of Kubernetes, and ask for what our engines need.

They were never applied to a cluster: this is what can be held without one.
"""

from __future__ import annotations

import importlib.util
import re
import shutil
import subprocess
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from pytest_vdb.cluster.engines.contract import RETRIES
from pytest_vdb.cluster.engines.registry import engines
from pytest_vdb.cluster.manifest import job_manifest, pod_settings
from pytest_vdb.cluster.running import Task

DEPLOY = Path(__file__).parent.parent.parent / "deploy"
KUSTOMIZATIONS = sorted(DEPLOY.rglob("kustomization.yaml"))
PATCHES = sorted(path for path in DEPLOY.glob("kubernetes/overlays/*/coordinator.yaml"))
MANIFESTS = sorted({*DEPLOY.rglob("*.yaml")} - {*KUSTOMIZATIONS, *PATCHES})
MACHINES = sorted(DEPLOY.rglob("machines.toml"))
SCRIPTS = sorted(DEPLOY.rglob("*.sbatch"))
OVERLAYS = [path.parent for path in KUSTOMIZATIONS if path.parent.parent.name == "overlays"]
BY_NUMBER = DEPLOY / "kubernetes" / "overlays" / "by-number"
NAMESPACE = "vdb"
VERSIONS = ("1.31", "1.33")
OF_OTHERS = {"kueue.x-k8s.io/v1beta2", "ray.io/v1", "kustomize.config.k8s.io/v1beta1"}
"""Kinds whose schemas the validator does not have."""

Json = dict[str, Any]


def named(path: Path) -> str:
    return path.relative_to(DEPLOY).as_posix()


def documents(text: str) -> list[Json]:
    return [one for one in yaml.safe_load_all(text) if one is not None]


def pods_in(document: Any) -> Iterator[Json]:
    """Every specification of a pod, wherever it stands."""
    if isinstance(document, dict):
        if "containers" in document:
            yield document
        for value in document.values():
            yield from pods_in(value)
    elif isinstance(document, list):
        for value in document:
            yield from pods_in(value)


def rendered(overlay: Path) -> list[Json]:
    if shutil.which("kubectl") is None:
        pytest.skip("kubectl is not installed")
    made = subprocess.run(["kubectl", "kustomize", overlay], capture_output=True, text=True, check=False)
    assert made.returncode == 0, made.stderr
    return documents(made.stdout)


# What is named is there -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("path", KUSTOMIZATIONS, ids=named)
def test_a_kustomization_names_what_there_is(path):
    (told,) = documents(path.read_text())
    patches = [patch["path"] for patch in told.get("patches", ())]
    files = [file for made in told.get("configMapGenerator", ()) for file in made.get("files", ())]
    for name in (*told["resources"], *patches, *files):
        place = path.parent / name
        assert place.is_file() or (place / "kustomization.yaml").is_file(), f"{named(path)} names {name}"


@pytest.mark.parametrize("path", MANIFESTS, ids=named)
def test_no_pod_is_root_and_every_image_has_a_version(path):
    for document in documents(path.read_text()):
        for pod in pods_in(document):
            assert pod["securityContext"]["runAsNonRoot"]
            assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
            for container in pod["containers"]:
                assert container["securityContext"]["allowPrivilegeEscalation"] is False
                assert container["securityContext"]["capabilities"] == {"drop": ["ALL"]}
                tagged = re.search(r":[\w.-]+$", container["image"])
                assert container["image"] == "vdb" or (tagged and tagged[0] != ":latest")  # kustomize has the version


def test_the_page_of_the_folder_names_every_file():
    page = (DEPLOY / "README.md").read_text(encoding="utf-8")
    told = set(re.findall(r"^\| `([\w./-]+)`", page, re.MULTILINE))
    there = {f"{named(one.parent)}/" for one in KUSTOMIZATIONS}
    there |= {named(one) for one in (*SCRIPTS, DEPLOY / "Dockerfile", DEPLOY / "ray" / "raycluster.yaml")}
    assert told == there


# What kustomize makes of it -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("overlay", OVERLAYS, ids=named)
def test_what_an_overlay_makes_follows_the_schemas(overlay):
    if importlib.util.find_spec("kubernetes_validate") is None:
        pytest.skip("kubernetes-validate is not installed")
    import kubernetes_validate

    for document in rendered(overlay):
        if document["apiVersion"] not in OF_OTHERS:
            for version in VERSIONS:
                kubernetes_validate.validate(document, version, strict=True)


@pytest.mark.parametrize("overlay", OVERLAYS, ids=named)
def test_all_of_an_overlay_is_in_one_namespace_and_its_pods_use_what_it_makes(overlay):
    made = rendered(overlay)
    without = {"Namespace", "ClusterQueue", "ResourceFlavor"}
    assert {one["metadata"].get("namespace") for one in made if one["kind"] not in without} == {NAMESPACE}
    assert not [one for one in made if one["kind"] in without and "namespace" in one["metadata"]]
    names = {(one["kind"], one["metadata"]["name"]) for one in made}
    for pod in (pod for one in made for pod in pods_in(one)):
        volumes = pod["volumes"]
        claims = {one["persistentVolumeClaim"]["claimName"] for one in volumes if "persistentVolumeClaim" in one}
        maps = {one["configMap"]["name"] for one in volumes if "configMap" in one}
        sources = [source for container in pod["containers"] for source in container.get("envFrom", ())]
        maps |= {source["configMapRef"]["name"] for source in sources if "configMapRef" in source}
        assert {("PersistentVolumeClaim", claim) for claim in claims} <= names
        assert {("ConfigMap", one) for one in maps} <= names
        assert {mount["name"] for one in pod["containers"] for mount in one["volumeMounts"]} <= {
            one["name"] for one in volumes
        }


def test_the_queue_that_the_shards_ask_for_is_there_and_has_room_for_all_of_them():
    made = {one["kind"]: one for one in rendered(DEPLOY / "kubernetes" / "overlays" / "queue")}
    table = tomllib.loads((DEPLOY / "kubernetes" / "overlays" / "queue" / "machines.toml").read_text())["kubernetes"]
    assert made["LocalQueue"]["metadata"]["name"] == table["queue"]
    assert made["LocalQueue"]["spec"]["clusterQueue"] == made["ClusterQueue"]["metadata"]["name"]
    (group,) = made["ClusterQueue"]["spec"]["resourceGroups"]
    (flavour,) = group["flavors"]
    assert flavour["name"] == made["ResourceFlavor"]["metadata"]["name"]
    quota = {one["name"]: str(one["nominalQuota"]).removesuffix("Gi") for one in flavour["resources"]}
    workers, memory = table["workers"], int(table["memory"].removesuffix("Gi"))
    needed = {"cpu": workers * table["cpu"], "memory": workers * memory, "nvidia.com/gpu": workers * table["gpus"]}
    assert {name: int(much) for name, much in quota.items()} == needed


# What our engines make of it ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("path", MACHINES, ids=named)
def test_a_table_of_machines_is_of_an_engine_that_there_is(path):
    for name, table in tomllib.loads(path.read_text()).items():
        assert name in engines()
        assert table.pop("workers") >= 1
        if name == "kubernetes":
            assert table.pop("gpus") >= 1
            assert pod_settings(table).namespace == NAMESPACE


def test_the_job_by_number_is_what_the_engine_submits():
    (told,) = documents((BY_NUMBER / "shards.yaml").read_text())
    table = tomllib.loads((DEPLOY / "kubernetes" / "overlays" / "bucket" / "machines.toml").read_text())["kubernetes"]
    workers, gpus = table.pop("workers"), table.pop("gpus")
    (container,) = told["spec"]["template"]["spec"]["containers"]
    made = job_manifest(
        name=told["metadata"]["name"],
        command=container["command"],
        task=Task(address="", arguments=(), folder=""),
        shards=told["spec"]["completions"],
        at_a_time=workers,
        retries=RETRIES,
        gpus=gpus,
        settings=pod_settings({**table, "image": container["image"]}),
    )
    assert made["metadata"].pop("namespace") == NAMESPACE  # kustomize gives it
    assert made == told
    assert container["command"][:3] == ["python", "-m", "pytest_vdb.cluster.indexed"]


def test_the_coordinator_may_do_what_the_engine_asks_for_and_nothing_else():
    (role,) = (
        one for one in documents((DEPLOY / "kubernetes" / "base" / "access.yaml").read_text()) if one["kind"] == "Role"
    )
    may = {(resource, verb) for rule in role["rules"] for resource in rule["resources"] for verb in rule["verbs"]}
    source = (Path(__file__).parent.parent.parent / "pytest_vdb/cluster/engines/kubernetes.py").read_text()
    verbs = {"create": "create", "read": "get", "list": "list", "delete": "delete"}
    asked = re.findall(r"\.(create|read|list|delete)_namespaced_(\w+?)[(,]", source)
    assert may == {(f"{kind}s", verbs[verb]) for verb, kind in asked}


# Scripts and the image ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("script", SCRIPTS, ids=named)
def test_a_script_of_slurm_is_one_of_bash_that_is_queued_again(script):
    assert script.read_text().startswith("#!/bin/bash\n")
    assert "#SBATCH --requeue\n" in script.read_text()
    subprocess.run(["bash", "-n", script], check=True)


def test_the_image_copies_what_there_is_and_ends_as_nobody():
    text = (DEPLOY / "Dockerfile").read_text()
    copied = [name for line in re.findall(r"^COPY (?!--from)(.+) \S+$", text, re.MULTILINE) for name in line.split()]
    allowed = re.findall(r"^!(.+)$", (DEPLOY / "Dockerfile.dockerignore").read_text(), re.MULTILINE)
    assert sorted(copied) == sorted(allowed)
    assert all((DEPLOY.parent / name).exists() for name in copied)
    assert re.findall(r"^USER (.+)$", text, re.MULTILINE)[-1] == "65534:65534"
    assert not re.search(r"^ADD |:latest|sudo", text, re.MULTILINE)
    assert len(re.findall(r"^FROM ", text, re.MULTILINE)) == 2


def test_the_extras_of_the_image_are_ours():
    (extras,) = re.findall(r"^ARG EXTRAS=(.+)$", (DEPLOY / "Dockerfile").read_text(), re.MULTILINE)
    project = tomllib.loads((DEPLOY.parent / "pyproject.toml").read_text())["project"]
    assert set(extras.split(",")) <= set(project["optional-dependencies"])
