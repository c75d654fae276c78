"""Reads the Databricks bundle as its CLI would, and says what is wrong with it; no workspace is asked.

``databricks-bundles`` knows every field of every resource; what it does not look at (references, files, entry points,
permissions, targets) is checked here.
"""

import dataclasses
import importlib
import json
import re
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml
from databricks.bundles.cluster_policies import ClusterPolicy
from databricks.bundles.dashboards import Dashboard
from databricks.bundles.instance_pools import InstancePool
from databricks.bundles.jobs import Job
from databricks.bundles.pipelines import Pipeline
from databricks.bundles.schemas import Schema
from databricks.bundles.sql_warehouses import SqlWarehouse

RESOURCES: dict[str, Any] = {
    "jobs": Job,
    "pipelines": Pipeline,
    "schemas": Schema,
    "dashboards": Dashboard,
    "cluster_policies": ClusterPolicy,
    "instance_pools": InstancePool,
    "sql_warehouses": SqlWarehouse,
}
_TOP = {"bundle", "include", "artifacts", "sync", "experimental", "variables", "targets"}
_TARGET = {"mode", "default", "workspace", "presets", "variables", "permissions", "run_as"}
_PRESETS = {"trigger_pause_status", "name_prefix", "tags", "jobs_max_concurrent_runs", "pipelines_development"}
_OWN = ("dev", "branch")  # of whoever deploys them
_REFERENCE = re.compile(r"\$\{([^}]+)\}")
_PARAMETER = re.compile(r"\{\{job\.parameters\.(\w+)\}\}")
_SECRET = re.compile(r"dapi[0-9a-f]{8,}|accountkey=|sig=|password|client_secret|\btoken\s*:|BEGIN .*PRIVATE KEY", re.I)
_PATH_KEYS = ("file_path", "path", "python_file", "notebook_path")
_MANAGING = {"CAN_MANAGE", "IS_OWNER", "ALL_PRIVILEGES", "MANAGE"}


@dataclasses.dataclass(frozen=True)
class Bundle:
    """The bundle of one target: its resources by type and key, references resolved, and what is wrong with them."""

    resources: dict[str, dict[str, dict[str, Any]]]
    problems: list[str]


def targets(root: Path) -> list[str]:
    return list(_yaml(root / "databricks.yml")["targets"])


def read_bundle(root: Path, target: str) -> Bundle:
    """The bundle at ``root`` for ``target``."""
    main = _yaml(root / "databricks.yml")
    problems = [f"databricks.yml: unknown {key}" for key in main.keys() - _TOP]
    files = [file for pattern in main["include"] for file in sorted(root.glob(pattern))]
    problems += [f"include: {pattern} matches nothing" for pattern in main["include"] if not list(root.glob(pattern))]
    found: dict[str, dict[str, dict[str, Any]]] = {}
    places: dict[tuple[str, str], Path] = {}
    for file in files:
        content = _yaml(file)
        problems += [f"{file.name}: unknown {key}" for key in content.keys() - {"resources"}]
        for kind, items in content["resources"].items():
            if kind not in RESOURCES:
                problems.append(f"{file.name}: unknown resource type {kind}")
                continue
            for key, item in items.items():
                if key in found.setdefault(kind, {}):
                    problems.append(f"{file.name}: {kind}.{key} is defined twice")
                found[kind][key] = item
                places[kind, key] = file
    problems += _of_target(target, main["targets"][target], main["variables"])
    resolver = _Resolver(target, main, found)
    resolved = {
        kind: {key: resolver.resolve(item, f"{kind}.{key}") for key, item in items.items()}
        for kind, items in found.items()
    }
    resolver.resolve(main["targets"][target], f"targets.{target}")
    problems += resolver.problems + _unused(main["variables"], resolver.used | _used_by(main["targets"]))
    for kind, items in resolved.items():
        for key, item in items.items():
            problems += [f"{kind}.{key}: {problem}" for problem in _of_resource(kind, item)]
            problems += [f"{kind}.{key}: {problem}" for problem in _files(item, places[kind, key], root, main)]
    for key, job in resolved.get("jobs", {}).items():
        problems += [f"jobs.{key}: {problem}" for problem in _of_job(job, root)]
        problems += [f"jobs.{key}: {problem}" for problem in _against_policy(job, resolved.get("cluster_policies", {}))]
    for file in [root / "databricks.yml", *files]:
        problems += [f"{file.name}: looks like a secret: {found}" for found in _SECRET.findall(file.read_text())]
    return Bundle(resolved, problems)


def _yaml(file: Path) -> dict[str, Any]:
    content = yaml.safe_load(file.read_text(encoding="utf-8"))
    assert isinstance(content, dict), file
    return content


def _unused(declared: dict[str, Any], used: set[str]) -> list[str]:
    return [f"variables.{name} is used nowhere" for name in declared.keys() - used]


def _used_by(targets: dict[str, Any]) -> set[str]:
    """The variables that some target's own settings name."""
    references = {reference for _, text in _strings(targets) for reference in _REFERENCE.findall(text)}
    return {reference.removeprefix("var.") for reference in references if reference.startswith("var.")}


class _Resolver:
    def __init__(self, target: str, main: dict[str, Any], resources: dict[str, dict[str, dict[str, Any]]]) -> None:
        self.target = target
        self.main = main
        self.resources = resources
        self.values = main["targets"][target].get("variables", {})
        self.problems: list[str] = []
        self.used: set[str] = set()

    def resolve(self, value: Any, where: str) -> Any:
        if isinstance(value, dict):
            return {key: self.resolve(inner, f"{where}.{key}") for key, inner in value.items()}
        if isinstance(value, list):
            return [self.resolve(inner, where) for inner in value]
        if not isinstance(value, str):
            return value
        if whole := _REFERENCE.fullmatch(value):
            return self.value(whole[1], where)  # keeps the type: a number stays one
        return _REFERENCE.sub(lambda found: str(self.value(found[1], where)), value)

    def value(self, reference: str, where: str) -> Any:
        parts = reference.split(".")
        if parts[0] == "var" and parts[-1] in self.main["variables"] and len(parts) == 2:
            self.used.add(parts[1])
            declared = self.main["variables"][parts[1]]
            # What a person has to give stands for itself.
            value = self.values.get(parts[1], declared.get("default", f"given-{parts[1]}"))
            return self.resolve(value, f"variables.{parts[1]}")
        if reference == "bundle.name":
            return self.main["bundle"]["name"]
        if reference == "bundle.target":
            return self.target
        if reference == "workspace.current_user.short_name":
            return "given-user"
        if parts[0] == "resources" and len(parts) == 4 and parts[2] in self.resources.get(parts[1], {}):
            if parts[3] == "id":
                return f"id-of-{parts[1]}-{parts[2]}"
            if parts[3] in self.resources[parts[1]][parts[2]]:
                return self.resources[parts[1]][parts[2]][parts[3]]
        self.problems.append(f"{where}: ${{{reference}}} is not known")
        return f"unknown-{reference}"


def _of_target(name: str, target: dict[str, Any], variables: dict[str, Any]) -> Iterator[str]:
    yield from (f"targets.{name}: unknown {key}" for key in target.keys() - _TARGET)
    yield from (f"targets.{name}.presets: unknown {key}" for key in target.get("presets", {}).keys() - _PRESETS)
    yield from (
        f"targets.{name}.variables: {key} is not declared"
        for key in target.get("variables", {}).keys() - variables.keys()
    )
    yield from (f"targets.{name}: {problem}" for problem in _permissions(target.get("permissions", [])))
    presets, mode = target.get("presets", {}), target.get("mode")
    paused = presets.get("trigger_pause_status") == "PAUSED"
    if presets.get("tags", {}).get("environment") != name:
        yield f"targets.{name}.presets.tags.environment is not {name}"
    if name == "prod":
        if mode != "production" or target.get("default") or paused or "name_prefix" in presets:
            yield "targets.prod has settings of development"
    elif not paused:
        yield f"targets.{name}: schedules are not paused"
    if (mode == "development") != (name in _OWN):
        yield f"targets.{name}: mode {mode}"
    if name not in _OWN:
        if set(target.get("run_as", {})) != {"service_principal_name"}:
            yield f"targets.{name}.run_as is not a service principal"
        if target["workspace"]["root_path"].startswith("~"):
            yield f"targets.{name}.workspace.root_path is one person's own"


def _of_resource(kind: str, item: dict[str, Any]) -> Iterator[str]:
    try:
        made = RESOURCES[kind].from_dict(item)
    except (ValueError, KeyError, TypeError) as error:
        yield str(error)
        return
    yield from _coerced(item, made.as_dict(), kind)
    if kind != "schemas":
        if not item.get("permissions"):
            yield "has no permissions"
        yield from _permissions(item.get("permissions", []))
    for grant in item.get("grants", []):
        if _MANAGING & set(grant["privileges"]) or grant["principal"] in ("users", "account users"):
            yield f"grants too much: {grant}"
    if kind == "cluster_policies":
        try:
            json.loads(item["definition"])
        except ValueError as error:
            yield f"definition: {error}"


def _permissions(permissions: list[dict[str, str]]) -> Iterator[str]:
    for one in permissions:
        if one["level"] in _MANAGING and "service_principal_name" not in one:
            yield f"permits too much: {one}"
        if "user_name" in one or one.get("group_name") in ("users", "account users", "admins"):
            yield f"permits whom it should not: {one}"


def _coerced(written: Any, made: Any, where: str) -> Iterator[str]:
    """What ``from_dict`` took for another type than was written; the workspace would refuse it."""
    if isinstance(written, dict) and isinstance(made, dict):
        for key, value in written.items():
            yield from _coerced(value, made.get(key), f"{where}.{key}")
    elif isinstance(written, list) and isinstance(made, list):
        for one, other in zip(written, made, strict=True):
            yield from _coerced(one, other, where)
    elif type(written) is not type(made) or written != made:
        yield f"{where}: {written!r} is not {made!r}"


def _files(item: Any, place: Path, root: Path, main: dict[str, Any]) -> Iterator[str]:
    """Files that the resource in ``place`` names, relative to it."""
    wheels = {
        (root / file["source"]).resolve() for artifact in main["artifacts"].values() for file in artifact["files"]
    }
    for key, value in _strings(item):
        if value.endswith(".whl"):
            if (place.parent / value).resolve() not in wheels:
                yield f"{value} is not what an artifact makes"
        elif key in _PATH_KEYS and not (place.parent / value).is_file():
            yield f"{key}: {value} does not exist"
    for artifact in main["artifacts"].values():
        if not (root / artifact["build"].split()[0]).is_file():
            yield f"artifacts: {artifact['build']} does not exist"


def _strings(item: Any, key: str = "") -> Iterator[tuple[str, str]]:
    if isinstance(item, dict):
        for name, value in item.items():
            yield from _strings(value, name)
    elif isinstance(item, list):
        for value in item:
            yield from _strings(value, key)
    elif isinstance(item, str):
        yield key, item


def _of_job(job: dict[str, Any], root: Path) -> Iterator[str]:
    project = tomllib.loads((root / "pyproject.toml").read_text())["project"]
    if not job.get("timeout_seconds"):
        yield "has no timeout_seconds: a run that hangs would be paid for until somebody looks"
    if not job.get("email_notifications", {}).get("on_failure"):
        yield "tells nobody when it fails"
    declared = {parameter["name"] for parameter in job.get("parameters", [])}
    used = {name for _, text in _strings(job) for name in _PARAMETER.findall(text)}
    if declared != used:
        yield f"job parameters {sorted(declared ^ used)} are declared and not used, or used and not declared"
    clusters = {cluster["job_cluster_key"] for cluster in job.get("job_clusters", [])}
    environments = {environment["environment_key"] for environment in job.get("environments", [])}
    if (environments or "pipeline_task" in job["tasks"][0]) and "budget_policy_id" not in job:
        yield "is serverless and has no budget_policy_id"
    names = {task["task_key"] for task in job["tasks"]}
    for task in job["tasks"]:
        if task.get("job_cluster_key", next(iter(clusters), None)) not in {*clusters, None}:
            yield f"{task['task_key']}: no job cluster {task['job_cluster_key']}"
        if task.get("environment_key", next(iter(environments), None)) not in {*environments, None}:
            yield f"{task['task_key']}: no environment {task['environment_key']}"
        if unknown := {one["task_key"] for one in task.get("depends_on", [])} - names:
            yield f"{task['task_key']}: depends on {unknown}"
        if wheel := task.get("python_wheel_task"):
            if "job_cluster_key" not in task and "environment_key" not in task:
                yield f"{task['task_key']}: has nothing to run on"
            if wheel["package_name"].replace("_", "-") != project["name"]:
                yield f"{task['task_key']}: no package {wheel['package_name']}"
            yield from _entry_point(wheel["entry_point"], project["scripts"])


def _entry_point(name: str, scripts: dict[str, str]) -> Iterator[str]:
    if name not in scripts:
        yield f"the wheel has no entry point {name}"
        return
    module, function = scripts[name].split(":")
    try:
        there = callable(getattr(importlib.import_module(module), function, None))
    except ModuleNotFoundError:
        there = False
    if not there:
        yield f"entry point {name}: {scripts[name]} is not there"


def _against_policy(job: dict[str, Any], policies: dict[str, dict[str, Any]]) -> Iterator[str]:
    """What the job's clusters have that their policy does not allow."""
    for entry in job.get("job_clusters", []):
        cluster = entry["new_cluster"]
        named = str(cluster.get("policy_id", "")).removeprefix("id-of-cluster_policies-")
        if named not in policies:
            yield f"{entry['job_cluster_key']} obeys no policy"
            continue
        try:
            definition = json.loads(policies[named]["definition"])
        except ValueError:
            continue  # told already
        for path, rule in definition.items():
            value: Any = "job" if path == "cluster_type" else cluster
            for part in path.split(".") if path != "cluster_type" else []:
                value = value.get(part) if isinstance(value, dict) else None
            allowed = {
                "fixed": lambda value, rule: value == rule["value"],
                "allowlist": lambda value, rule: value in rule["values"],
                "forbidden": lambda value, rule: value is None,
                "range": lambda value, rule: rule.get("minValue", value) <= value <= rule.get("maxValue", value),
            }[rule["type"]]
            if value is None and (rule.get("isOptional") or rule["type"] == "forbidden"):
                continue
            if value is None or not allowed(value, rule):
                yield f"{path} is {value!r}, which its policy refuses: {rule}"
