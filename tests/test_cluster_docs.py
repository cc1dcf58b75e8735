"""The configurations beside docs/cluster.md are what Ray and Kubernetes expect, as far as can be told without them."""

from __future__ import annotations

import json
import re
import shlex
from importlib.metadata import version
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import ray
import yaml

from nas.cli.main import search

FOLDER = Path(__file__).parents[1] / "docs" / "cluster"


def read(name: str) -> Any:
    return yaml.safe_load((FOLDER / name).read_text())


def test_the_launcher_file_fits_the_schema_of_ray() -> None:
    schema = json.loads((Path(ray.__file__).parent / "autoscaler" / "ray-schema.json").read_text())
    file = read("launcher.yaml")
    jsonschema.validate(file, schema)
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate({**file, "max_worker": 1}, schema)
    assert file["head_node_type"] in file["available_node_types"]


def test_the_cluster_has_what_kuberay_requires() -> None:
    file = read("kuberay.yaml")
    assert (file["apiVersion"], file["kind"]) == ("ray.io/v1", "RayCluster")
    head, [workers] = file["spec"]["headGroupSpec"], file["spec"]["workerGroupSpecs"]
    assert {"groupName", "replicas", "minReplicas", "maxReplicas", "rayStartParams", "template"} <= set(workers)
    for group in (head, workers):
        assert all(isinstance(value, str) for value in group["rayStartParams"].values())
        for container in group["template"]["spec"]["containers"]:
            assert {"name", "image", "resources"} <= set(container)


def test_the_job_is_a_command_that_there_is() -> None:
    file = read("rayjob.yaml")
    assert (file["apiVersion"], file["kind"]) == ("ray.io/v1", "RayJob")
    assert file["spec"]["clusterSelector"] == {"ray.io/cluster": read("kuberay.yaml")["metadata"]["name"]}
    program, command, *arguments = shlex.split(file["spec"]["entrypoint"])
    assert (program, command) == ("nas", "search")
    search.make_context("search", arguments)


def test_the_versions_are_those_of_the_tests() -> None:
    said = "".join(file.read_text() for file in FOLDER.iterdir())
    assert set(re.findall(r"graphnas(?:==|:)([\d.]+)", said)) == {version("graphnas")}
    constraints = (FOLDER.parents[1] / "constraints.txt").read_text()
    for found in re.findall(r'(?:rayproject/ray:|rayVersion: ")([\d.]+)', said):
        assert f"ray=={found}\n" in constraints
