"""The files for clusters say only what Ray and KubeRay know, and what they name is there."""

import json
import re
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml

from ingest_ray.config import load_config
from tests.deploy.vendor_schemas import read_documents, validate_object

ROOT = Path(__file__).parents[2]
RAY_FILES = ["deploy/kubernetes/raycluster.yaml", "deploy/kubernetes/rayjob.yaml"]
CLUSTERS = (ROOT / "docs" / "clusters.md").read_text()


def ray_schema() -> Any:
    spec = find_spec("ray")
    assert spec is not None
    assert spec.origin is not None
    return json.loads((Path(spec.origin).parent / "autoscaler" / "ray-schema.json").read_text())


def read(name: str) -> Any:
    return yaml.safe_load((ROOT / name).read_text())


def test_the_cluster_file_is_what_ray_up_takes() -> None:
    cluster = read("cluster.yaml")
    jsonschema.validate(cluster, ray_schema())
    types = cluster["available_node_types"]
    assert cluster["head_node_type"] in types
    assert types[cluster["head_node_type"]]["resources"]["CPU"] == 0
    assert sum(each.get("max_workers", 0) for each in types.values()) <= cluster["max_workers"]


def test_every_node_of_the_cluster_file_starts_ray_with_the_settings_variables() -> None:
    cluster = read("cluster.yaml")
    assert "INGEST_SECRET_KEY" in (ROOT / "cluster.yaml").read_text()
    for commands in (cluster["head_start_ray_commands"], cluster["worker_start_ray_commands"]):
        (start,) = (command for command in commands if "ray start" in command)
        (file,) = re.findall(r"\. (\S+)", start.partition("ray start")[0])
        assert file in cluster["file_mounts"]
        assert "RAY_AUTH_MODE=token" in start


def test_rays_schema_refuses_what_it_does_not_know() -> None:
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(read("cluster.yaml") | {"workers": 3}, ray_schema())


@pytest.mark.slow
@pytest.mark.parametrize("name", RAY_FILES)
def test_an_object_of_kuberay_is_valid_has_a_login_and_mounts_what_it_declares(name: str) -> None:
    (document,) = read_documents(name)
    validate_object(document)
    spec = document["spec"].get("rayClusterSpec", document["spec"])
    # Without it neither the autoscaler nor the submitter can log in: KubeRay gives its token to those by `authOptions` only.
    assert spec["authOptions"]["mode"] == "token"
    for group in (spec["headGroupSpec"], *spec["workerGroupSpecs"]):
        pod = group["template"]["spec"]
        mounted = {mount["name"] for container in pod["containers"] for mount in container["volumeMounts"]}
        assert mounted == {volume["name"] for volume in pod["volumes"]}
        assert pod["securityContext"]["runAsUser"] == 10001


@pytest.mark.slow
@pytest.mark.parametrize(
    "path", [("spec", "workerGroupSpecs", 0, "minReplica"), ("spec", "authOption"), ("spec", "headGroupSpec", "nodes")]
)
def test_a_field_that_kuberay_does_not_know_is_refused(path: tuple[str | int, ...]) -> None:
    (document,) = read_documents(RAY_FILES[0])
    at = document
    for part in path[:-1]:
        at = at[part]
    at[path[-1]] = 1
    with pytest.raises(jsonschema.ValidationError):
        validate_object(document)


def test_labels_of_the_documented_settings_are_labels_of_the_example_nodes(tmp_path: Path) -> None:
    """And the example is understood."""
    example = re.search(r"(?:^    .*\n|^\n)*^    ray:\n(?:^    .*\n|^\n)+", CLUSTERS, re.MULTILINE)
    assert example is not None
    file = tmp_path / "ingest.yaml"
    file.write_text("\n".join(line[4:] for line in example.group().splitlines()))
    ray = load_config(file).settings.ray
    known = {each["labels"]["ingest"] for each in read("cluster.yaml")["available_node_types"].values()}
    named = {*re.findall(r"\w+", ray.reader_labels["ingest"]), *re.findall(r"\w+", ray.actor_labels["ingest"])} - {"in"}
    assert named <= known
    for group in read(RAY_FILES[0])["spec"]["workerGroupSpecs"]:
        assert group["rayStartParams"]["labels"].removeprefix("ingest=") in known
