"""The files of `deploy/` are valid by the vendors' own schemas and tools, and every process has the variables that the settings refer to."""

import configparser
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml

from ingest_ray.config import load_config
from tests.deploy.vendor_schemas import ROOT, read_documents, schema_of, validate_object

KUBERNETES = sorted(str(file.relative_to(ROOT)) for file in (ROOT / "deploy/kubernetes").glob("*.yaml"))
OBJECTS = [name for name in KUBERNETES if Path(name).name not in ("ingest.yaml", "kustomization.yaml")]
INSTALLATIONS = ["deploy/kubernetes/ingest.yaml", "deploy/compose/ingest.yaml"]
VARIABLES_OF_EVERY_INSTALLATION = {"INGEST_SECRET_KEY"}
IMAGE = "registry.example.com/ingest-ray"


def pods(document: Any) -> Iterator[Any]:
    """Every pod's specification in an object."""
    if isinstance(document, dict):
        if "containers" in document:
            yield document
        for value in document.values():
            yield from pods(value)
    elif isinstance(document, list):
        for value in document:
            yield from pods(value)


def variables_of(settings: str) -> set[str]:
    """The names of all `env:NAME` in a file of settings, those in comments included."""
    return {*re.findall(r"env:([A-Z][A-Z0-9_]*)", (ROOT / settings).read_text()), *VARIABLES_OF_EVERY_INSTALLATION}


@pytest.mark.slow
@pytest.mark.parametrize("name", OBJECTS)
def test_an_object_is_valid_by_the_vendors_schema(name: str) -> None:
    for document in read_documents(name):
        validate_object(document)


def test_an_unknown_field_of_a_pod_is_refused() -> None:
    deployment = read_documents("deploy/kubernetes/service.yaml")[0]
    deployment["spec"]["template"]["spec"]["containers"][0]["livenessProb"] = {}
    with pytest.raises(jsonschema.ValidationError):
        validate_object(deployment)


@pytest.mark.parametrize("name", INSTALLATIONS)
def test_the_settings_of_a_deployment_are_understood(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("INGEST_STATE_URL", "postgresql://ingest@postgres/ingest")
    config = load_config(ROOT / name)
    assert config.endpoints
    assert config.settings.home == "/var/lib/ingest/home"


def test_every_container_has_all_variables_of_the_settings() -> None:
    wanted = variables_of("deploy/kubernetes/ingest.yaml")
    (secret,) = read_documents("deploy/kubernetes/secrets.example.yaml")
    kept, count = set(secret["stringData"]), 0
    for name in OBJECTS:
        for document in read_documents(name):
            kuberay_gives = {"RAY_AUTH_TOKEN"} if document["kind"] in ("RayCluster", "RayJob") else set()
            for pod in pods(document):
                for container in [*pod.get("initContainers", []), *pod["containers"]]:
                    sources = {source["secretRef"]["name"] for source in container["envFrom"]}
                    assert sources == {"ingest-secrets"}, container["name"]
                    own = {one["name"] for one in container.get("env", [])}
                    assert wanted <= kept | own | kuberay_gives, container["name"]
                    count += 1
    assert count == 8  # service with its first step, worker, three groups of the cluster, two of the job


def test_a_deployments_volumes_are_mounted_and_nothing_runs_as_root() -> None:
    for name in OBJECTS:
        for document in read_documents(name):
            for pod in pods(document):
                containers = [*pod.get("initContainers", []), *pod["containers"]]
                mounted = {mount["name"] for container in containers for mount in container["volumeMounts"]}
                assert mounted == {volume["name"] for volume in pod["volumes"]}
                assert pod["securityContext"]["runAsNonRoot"]
                assert all(container["image"].partition(":")[0] == IMAGE for container in containers)


def test_the_jobs_cluster_registers_collects_and_runs() -> None:
    (job,) = read_documents("deploy/kubernetes/rayjob.yaml")
    steps = [step.split()[:2] for step in job["spec"]["entrypoint"].split(" && ")]
    assert steps == [["ingest-ray", "apply"], ["ingest-ray", "collect"], ["ingest-ray", "run"]]


@pytest.mark.slow
def test_kustomize_builds_the_whole() -> None:
    if shutil.which("kubectl") is None:
        pytest.skip("kubectl is not installed")
    built = subprocess.run(
        ["kubectl", "kustomize", str(ROOT / "deploy/kubernetes")],
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    documents = [document for document in yaml.safe_load_all(built.stdout) if document]
    for document in documents:
        validate_object(document)
    (config,) = (document for document in documents if document["kind"] == "ConfigMap")
    assert config["data"]["ingest.yaml"] == (ROOT / "deploy/kubernetes/ingest.yaml").read_text()
    named = {
        volume["configMap"]["name"]
        for document in documents
        for pod in pods(document)
        for volume in pod["volumes"]
        if "configMap" in volume
    }
    assert named == {config["metadata"]["name"]}
    assert {document["kind"] for document in documents} >= {"Deployment", "Service", "RayCluster", "Namespace"}


def test_compose_is_valid_and_its_containers_have_all_variables() -> None:
    (document,) = read_documents("deploy/compose/compose.yaml")
    jsonschema.Draft7Validator(schema_of("compose-spec")).validate(document)
    example = (ROOT / "deploy/compose/environment.example").read_text()
    given = set(re.findall(r"^([A-Z_]+)=", example, re.MULTILINE))
    assert variables_of("deploy/compose/ingest.yaml") <= given
    for name in ("apply", "service", "ray", "worker"):
        assert document["services"][name]["env_file"] == "environment"
    assert all(
        port.startswith("127.0.0.1:") for each in document["services"].values() for port in each.get("ports", [])
    )
    assert "always" in document["services"]["redis"]["command"]


def test_the_unit_of_systemd_is_valid_and_leaves_runs_alone(tmp_path: Path) -> None:
    source = (ROOT / "deploy/systemd/ingest-ray.service").read_text()
    unit = configparser.RawConfigParser(strict=False)
    unit.optionxform = str  # type: ignore[assignment,method-assign]
    unit.read_string(source)
    assert unit["Service"]["KillMode"] == "process"
    assert unit["Service"]["User"] == "ingest"
    if shutil.which("systemd-analyze") is None:
        pytest.skip("systemd-analyze is not installed")
    file = tmp_path / "ingest-ray.service"
    file.write_text(source.replace("/opt/ingest/bin/ingest-ray", "/bin/true"))
    checked = subprocess.run(["systemd-analyze", "verify", str(file)], capture_output=True, text=True, timeout=60)
    assert (checked.returncode, checked.stderr) == (0, "")
