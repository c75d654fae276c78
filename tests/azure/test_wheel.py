"""The wheel is complete, runs where there is no checkout, and is the same bytes each time it is made."""

import base64
import hashlib
import os
import subprocess
import sys
import sysconfig
import zipfile
from configparser import ConfigParser
from importlib.metadata import distribution
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from dagster_lake.settings.lake import PROJECT_ROOT
from tests.azure.wheels import PARTS, built, checkout_at, installed_at, ran

TINY = {
    "LAKE_USERS": "40",
    "LAKE_VIP_USERS": "4",
    "LAKE_PRODUCTS": "8",
    "LAKE_ORDERS_PER_HOUR": "4",
    "LAKE_PAGEVIEWS_PER_HOUR": "20",
}


@pytest.fixture(scope="module")
def checkout(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return checkout_at(tmp_path_factory.mktemp("wheel") / "checkout")


@pytest.fixture(scope="module")
def wheel(checkout: Path) -> Path:
    return built(checkout)


@pytest.fixture(scope="module")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return installed_at(tmp_path_factory.mktemp("installed") / "venv", wheel)


def test_the_wheel_holds_every_file_of_the_packages_and_the_dbt_project_and_nothing_else(
    checkout: Path, wheel: Path
) -> None:
    expected = {"dagster_lake/dagster.yaml"}
    for part in PARTS:
        place = "dagster_lake/dbt_project" if part == "dbt" else part
        files = (file.relative_to(checkout / part) for file in (checkout / part).rglob("*") if file.is_file())
        expected |= {f"{place}/{file.as_posix()}" for file in files}
    held = set(zipfile.ZipFile(wheel).namelist())
    assert {name for name in held if ".dist-info/" not in name} == expected


def test_the_same_files_give_the_same_bytes_whoever_builds_them_and_whatever_was_built_before(
    wheel: Path, tmp_path: Path
) -> None:
    other = checkout_at(tmp_path / "elsewhere")
    stale = other / "build" / "lib" / "dagster_lake" / "removed_long_ago.py"
    stale.parent.mkdir(parents=True)
    stale.write_text("")
    (other / "dbt" / "target").mkdir()
    (other / "dbt" / "target" / "manifest.json").write_text("{}")
    for file in other.rglob("*.py"):
        file.chmod(0o600)
        os.utime(file, (1_000_000_000, 1_000_000_000))
    assert built(other, umask="077").read_bytes() == wheel.read_bytes()


def test_every_command_of_the_wheel_exists(wheel: Path, installed: Path, tmp_path: Path) -> None:
    archive = zipfile.ZipFile(wheel)
    [name] = [name for name in archive.namelist() if name.endswith("entry_points.txt")]
    commands = ConfigParser()
    commands.read_string(archive.read(name).decode())
    for command, target in commands["console_scripts"].items():
        assert (installed / command).exists()
        module, function = target.split(":")
        ran([installed / "python", "-c", f"import {module}; assert callable({module}.{function})"], tmp_path)


def test_an_installed_wheel_loads_its_definitions_from_the_wheel(installed: Path, tmp_path: Path) -> None:
    says = "import dagster_lake.definitions as d; print(d.__file__); print(len(d.defs.resolve_all_asset_specs()))"
    file, assets = ran([installed / "python", "-c", says], tmp_path).split()
    assert Path(file).is_relative_to(installed.parent)
    assert int(assets) > 30


def test_an_installed_wheel_builds_a_lake_in_the_folder_one_works_in_and_writes_nothing_beside_the_code(
    installed: Path, tmp_path: Path
) -> None:
    code = next((installed.parent / "lib").glob("*/site-packages/dagster_lake"))
    before = {file for file in code.rglob("*") if "__pycache__" not in file.parts}
    assert "lake demo" in ran([installed / "lake", "--help"], tmp_path)
    ran([installed / "lake", "demo", "--hours", "1"], tmp_path, **TINY)
    rows = ran([installed / "lake", "query", "select count(*) as users from gold.engagements"], tmp_path)
    assert TINY["LAKE_USERS"] in rows
    assert {entry.name for entry in tmp_path.iterdir()} == {".lake", ".dagster", "dagster.yaml"}
    assert {file for file in code.rglob("*") if "__pycache__" not in file.parts} == before


def test_contracts_compile_from_a_wheel_that_is_only_put_on_the_path(wheel: Path, tmp_path: Path) -> None:
    here = sysconfig.get_path("purelib")
    says = (
        f"import sys; sys.path[:0] = [{str(wheel)!r}, {here!r}]\n"
        "import dagster_lake.contract.model as c\n"
        "print(c.__file__, len(c.contracts()))"
    )
    bare = [sys._base_executable, "-S", "-c", says]  # type: ignore[attr-defined]
    place, contracts = ran(bare, tmp_path).split()  # type: ignore[arg-type]
    assert place.startswith(str(wheel))
    assert int(contracts) == len(list((PROJECT_ROOT / "dagster_lake" / "contracts").glob("*.yaml")))


@pytest.fixture(scope="module")
def databricks_wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("databricks")
    subprocess.run([sys.executable, PROJECT_ROOT / "scripts" / "databricks-wheel", folder], check=True)
    [wheel] = folder.glob("*.whl")
    return wheel


RUNTIME = ("numpy", "pyarrow", "pyspark")
"""What every Databricks runtime brings itself, with what these depend on."""


def test_on_databricks_the_wheel_needs_neither_dagster_nor_dbt_nor_duckdb(
    databricks_wheel: Path, tmp_path: Path
) -> None:
    """Only the packages it asks for, with theirs, and a runtime's own are within reach."""
    asked = [line.removeprefix("Requires-Dist: ") for line in metadata(databricks_wheel) if "Requires-Dist" in line]
    assert asked
    assert all("==" in requirement for requirement in asked)
    reach = tmp_path / "site-packages"
    reach.mkdir()
    for name in closure([requirement.partition("==")[0] for requirement in asked] + list(RUNTIME)):
        for top in {file.parts[0] for file in distribution(name).files or [] if file.parts[0] != ".."}:
            (reach / top).symlink_to(distribution(name).locate_file(top))  # type: ignore[arg-type]
    says = (
        f"import sys; sys.path[:0] = [{str(databricks_wheel)!r}, {str(reach)!r}]\n"
        "import dagster_lake.databricks.remote.__main__, dagster_lake.databricks.remote.perform\n"
        "import dagster_lake.engines.spark.engine\n"
        "import dagster_lake.databricks.auto_loader.load, dagster_lake.databricks.upkeep\n"
        "from dagster_lake.contract.model import contracts; contracts()\n"
        "print(*{'dagster', 'dbt', 'duckdb', 'deltalake'} & set(sys.modules))"
    )
    assert ran([sys._base_executable, "-S", "-c", says], tmp_path).split() == []  # type: ignore[attr-defined,list-item]


def test_the_wheel_for_databricks_holds_the_same_files_and_a_true_list_of_checksums(
    wheel: Path, databricks_wheel: Path, tmp_path: Path
) -> None:
    whole, light = zipfile.ZipFile(wheel), zipfile.ZipFile(databricks_wheel)
    assert light.namelist() == whole.namelist()
    target = tmp_path / "target"
    subprocess.run(
        [
            sys.executable,
            "-m",
            "pip",
            "install",
            "--quiet",
            "--no-deps",
            "--no-index",
            "--target",
            target,
            databricks_wheel,
        ],
        check=True,
    )
    [record] = [light.read(name).decode() for name in light.namelist() if name.endswith("RECORD")]
    for line in record.splitlines()[:-1]:
        name, checksum, size = line.rsplit(",", 2)
        digest = base64.urlsafe_b64encode(hashlib.sha256(light.read(name)).digest()).rstrip(b"=").decode()
        assert (checksum, int(size)) == (f"sha256={digest}", len(light.read(name)))


def metadata(wheel: Path) -> list[str]:
    archive = zipfile.ZipFile(wheel)
    [name] = [name for name in archive.namelist() if name.endswith(".dist-info/METADATA")]
    return archive.read(name).decode().split("\n\n")[0].splitlines()


def closure(names: list[str]) -> set[str]:
    """The named distributions of this environment and all that they need, without extras."""
    found: set[str] = set()
    waiting = list(names)
    while waiting:
        name = canonicalize_name(waiting.pop())
        if name in found:
            continue
        found.add(name)
        for text in distribution(name).requires or []:
            requirement = Requirement(text)
            if requirement.marker is None or requirement.marker.evaluate({"extra": ""}):
                waiting.append(requirement.name)
    return found
