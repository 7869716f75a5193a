"""The examples for clusters say only what Ray and KubeRay document, and what they name is there."""

import json
import re
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml

from ingest_ray.config import load_config

ROOT = Path(__file__).parents[2]
KUBERAY = json.loads((Path(__file__).parent / "kuberay-v1.schema.json").read_text())
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


def test_rays_schema_refuses_what_it_does_not_know() -> None:
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(read("cluster.yaml") | {"workers": 3}, ray_schema())


@pytest.mark.parametrize("name", ["deploy/raycluster.yaml", "deploy/rayjob.yaml"])
def test_a_kubernetes_example_has_documented_fields_only_and_mounts_what_it_declares(name: str) -> None:
    document = read(name)
    jsonschema.validate(document, KUBERAY)
    spec = document["spec"].get("rayClusterSpec", document["spec"])
    for group in (spec["headGroupSpec"], *spec["workerGroupSpecs"]):
        pod = group["template"]["spec"]
        mounted = {mount["name"] for container in pod["containers"] for mount in container["volumeMounts"]}
        assert mounted == {volume["name"] for volume in pod["volumes"]}
        assert any(one["name"] == "RAY_AUTH_MODE" and one["value"] == "token" for one in pod["containers"][0]["env"])


def test_a_field_that_is_not_documented_is_refused() -> None:
    document = read("deploy/raycluster.yaml")
    document["spec"]["workerGroupSpecs"][0]["minReplica"] = 1
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(document, KUBERAY)


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
    for group in read("deploy/raycluster.yaml")["spec"]["workerGroupSpecs"]:
        assert group["rayStartParams"]["labels"].removeprefix("ingest=") in known
