"""A branch's lake stands beside the lake: neither sees the other, and removing one leaves the other as it is."""

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pytest
from typer.testing import CliRunner, Result
from upath import UPath

from dagster_lake.cli import app
from dagster_lake.settings.lake import Settings
from dagster_lake.storage.adls.blobs import list_blobs, upload_blob
from dagster_lake.storage.delta import write as delta
from dagster_lake.storage.delta.spec import TableSpec
from dagster_lake.storage.paths import Lake
from tests.azure.adls_lakes import adls_settings
from tests.azure.azurite import KEY, Azurite
from tests.azure.azurite import azurite as azurite
from tests.azure.catalog_yaml import filled_in, write_yaml
from tests.azure.fake_unity_catalog import WAREHOUSE, FakeUnityCatalog, Fault, Refused

SCHEMA = pa.schema([pa.field("name", pa.string())])
KINDS = ("storage_credentials", "external_locations", "catalogs", "schemas", "volumes", "functions", "tables")


@dataclass
class Lakes:
    """A lake, and what `lake` does there or in one of its branches."""

    trunk: Settings
    environment: dict[str, str]

    def of(self, branch: str | None) -> Settings:
        return Settings(_env_file=None, **{**self.trunk.model_dump(exclude={"branch", "databricks"}), "branch": branch})

    def fill(self, branch: str | None) -> None:
        """Writes a table that says whose it is."""
        spec = TableSpec(Lake.of(self.of(branch)).table("silver", "people"), SCHEMA)
        rows = pa.RecordBatch.from_pydict({"name": [branch or "trunk"]}, schema=SCHEMA)
        delta.overwrite(spec, lambda: pa.RecordBatchReader.from_batches(SCHEMA, [rows]), {})

    def run(self, *arguments: str, branch: str = "", **own: str) -> Result:
        inherited = {name: None for name in os.environ if name.startswith("LAKE_")}
        environment = {**inherited, **self.environment, **({"LAKE_BRANCH": branch} if branch else {}), **own}
        return CliRunner(env={"COLUMNS": "200"}).invoke(app, list(arguments), env=environment)

    def done(self, *arguments: str, branch: str = "") -> str:
        result = self.run(*arguments, branch=branch)
        assert result.exit_code == 0, result.output
        return result.output

    def names(self, branch: str = "") -> str:
        return self.done("query", "--format", "csv", "select name from silver.people", branch=branch)


@pytest.fixture(params=["local", "adls"])
def lakes(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Lakes:
    """The lake and two branches, each with its own table; in ADLS the lake is the container, as on Azure."""
    monkeypatch.setenv("LAKE_ROOT", "")  # put back afterwards: the command sets it
    if request.param == "local":
        trunk, environment = Settings(_env_file=None, root=str(tmp_path / ".lake")), {}
    else:
        server: Azurite = request.getfixturevalue("azurite")
        container = server.new_container()
        whole = adls_settings(server, container).root.removesuffix("/lake")
        trunk = adls_settings(server, container, root=whole, sources=tmp_path / "sources")
        environment = {"LAKE_AZURE_ENDPOINT": server.endpoint, "LAKE_AZURE_ACCOUNT_KEY": KEY}
    found = Lakes(trunk, {"LAKE_ROOT": trunk.root, **environment})
    for branch in (None, "pr_1", "pr_12"):
        found.fill(branch)
    return found


def test_two_branches_and_the_lake_do_not_see_each_other(lakes: Lakes) -> None:
    for branch in ("", "pr_1", "pr_12"):
        assert lakes.names(branch) == f"name\n{branch or 'trunk'}\n"


def test_removing_a_branch_removes_all_of_it_and_nothing_else(lakes: Lakes) -> None:
    assert lakes.done("branch", "list") == "pr_1\npr_12\n"
    assert f"{lakes.trunk.root}/branches/pr_1" in lakes.done("branch", "remove", "--yes", "pr_1")
    assert lakes.done("branch", "list") == "pr_12\n"
    assert not Lake.placed(lakes.of("pr_1")).exists()
    assert (lakes.names(), lakes.names("pr_12")) == ("name\ntrunk\n", "name\npr_12\n")


def test_a_branch_that_is_gone_can_be_removed_again(lakes: Lakes) -> None:
    for _ in range(2):
        lakes.done("branch", "remove", "--yes", "pr_1")
    assert lakes.names() == "name\ntrunk\n"


def test_the_branches_of_the_lake_are_meant_also_where_a_branch_is_set(lakes: Lakes) -> None:
    assert lakes.done("branch", "list", branch="pr_12") == "pr_1\npr_12\n"
    lakes.done("branch", "remove", "--yes", "pr_12", branch="pr_12")
    assert lakes.done("branch", "list") == "pr_1\n"


def test_without_a_yes_nothing_is_removed(lakes: Lakes) -> None:
    asked = lakes.run("branch", "remove", "pr_1")
    assert asked.exit_code == 1
    assert f"This removes {lakes.trunk.root}/branches/pr_1" in asked.output
    assert lakes.names("pr_1") == "name\npr_1\n"


@pytest.mark.parametrize("name", ["../silver", "", ".", "..", "pr_1/silver", "PR_1", "pr-1", "1", "x" * 32, "pr_1\n"])
def test_what_cannot_be_a_branch_is_refused(lakes: Lakes, name: str) -> None:
    refused = lakes.run("branch", "remove", "--yes", "--", name)
    assert refused.exit_code == 1
    assert "cannot be a branch" in refused.output
    assert "LAKE_BRANCH" in lakes.run("status", branch=name or "-").output
    assert lakes.names() == "name\ntrunk\n"


def test_a_folder_that_is_no_lake_is_left_alone(lakes: Lakes) -> None:
    other = Lake.placed(lakes.of("photos")).root / "2026" / "one.jpg"
    if isinstance(other, Path):
        other.parent.mkdir(parents=True)
        other.write_bytes(b"x")
    else:
        upload_blob(other, b"x", {})
    refused = lakes.run("branch", "remove", "--yes", "photos")
    assert refused.exit_code == 1
    assert "is not a lake" in refused.output
    assert other.exists()
    assert lakes.done("branch", "list") == "pr_1\npr_12\n"


def test_a_removal_that_was_interrupted_is_finished_by_the_next(lakes: Lakes) -> None:
    root = Lake.placed(lakes.of("pr_1")).root
    for file in [path for path in _files(root) if "silver" in str(path)]:
        file.unlink()
    assert lakes.done("branch", "list") == "pr_1\npr_12\n"
    lakes.done("branch", "remove", "--yes", "pr_1")
    assert list(_files(root)) == []


def test_resetting_the_lake_leaves_the_branches(lakes: Lakes) -> None:
    if lakes.trunk.root.startswith("abfss"):
        return  # a whole container is never reset
    lakes.done("reset", "--yes")
    assert lakes.names("pr_1") == "name\npr_1\n"


def test_a_link_is_not_followed(tmp_path: Path) -> None:
    lakes = Lakes(Settings(_env_file=None, root=str(tmp_path / ".lake")), {"LAKE_ROOT": str(tmp_path / ".lake")})
    lakes.fill(None)
    (tmp_path / ".lake" / "branches").mkdir()
    (tmp_path / ".lake" / "branches" / "pr_1").symlink_to(tmp_path / ".lake", target_is_directory=True)
    refused = lakes.run("branch", "remove", "--yes", "pr_1")
    assert refused.exit_code == 1
    assert "is a link" in refused.output
    assert lakes.names() == "name\ntrunk\n"


def _files(root: UPath) -> list[UPath]:
    if isinstance(root, Path):
        return [path for path in root.rglob("*") if path.is_file()]
    return [blob.path for blob in list_blobs(root)]


# ---- the catalog -----------------------------------------------------------------------------------------------------


@dataclass
class Catalogs:
    """A workspace with the lake's catalog and a branch's."""

    fake: FakeUnityCatalog
    config: Path
    environment: dict[str, str]

    def run(self, *arguments: str, branch: str = "") -> Result:
        environment = {**self.environment, **({"LAKE_BRANCH": branch} if branch else {})}
        return CliRunner(env={"COLUMNS": "200"}).invoke(app, list(arguments), env=environment)

    def apply(self, branch: str = "") -> None:
        applied = self.run("catalog", "apply", "--yes", "--config", str(self.config), branch=branch)
        assert applied.exit_code == 0, applied.output

    def held(self) -> dict[str, set[str]]:
        return {kind: set(getattr(self.fake, kind)) for kind in KINDS}


@pytest.fixture
def catalogs(azurite: Azurite, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Catalogs]:
    for name in [name for name in os.environ if name.startswith(("LAKE_", "DATABRICKS_"))]:
        monkeypatch.delenv(name)
    root = adls_settings(azurite, azurite.new_container()).root.removesuffix("/lake")
    monkeypatch.setenv("LAKE_ROOT", root)
    fake = FakeUnityCatalog()
    with fake.serve() as host:
        environment = {
            "DATABRICKS_HOST": host,
            "DATABRICKS_TOKEN": "not-a-real-one",
            "DATABRICKS_CONFIG_FILE": str(tmp_path / "none"),
            "LAKE_DATABRICKS_WAREHOUSE_ID": WAREHOUSE,
            "LAKE_CATALOG": "shop_dev",
            "LAKE_ROOT": root,
            "LAKE_AZURE_ENDPOINT": azurite.endpoint,
            "LAKE_AZURE_ACCOUNT_KEY": KEY,
        }
        yield Catalogs(fake, write_yaml(tmp_path, filled_in(storage_root=root)), environment)


def test_a_branch_s_catalog_is_over_its_own_folder_and_goes_with_it(catalogs: Catalogs) -> None:
    catalogs.apply()
    before = catalogs.held()
    catalogs.apply(branch="pr_1")
    own = f"{catalogs.environment['LAKE_ROOT']}/branches/pr_1"
    assert catalogs.fake.catalogs["shop_dev_branch_pr_1"]["storage_root"] == f"{own}/managed"
    places = {table["storage_location"] for name, table in catalogs.fake.tables.items() if "_pr_1." in name}
    assert places
    assert all(place.startswith(f"{own}/") for place in places)
    removed = catalogs.run("branch", "remove", "--yes", "pr_1")
    assert removed.exit_code == 0, removed.output
    assert "removed catalog shop_dev_branch_pr_1" in removed.output
    assert catalogs.held() == before


def test_a_catalog_over_another_folder_is_not_a_branch_s(catalogs: Catalogs) -> None:
    catalogs.apply(branch="pr_1")
    before = catalogs.held()
    catalogs.environment["LAKE_ROOT"] += "/elsewhere"
    refused = catalogs.run("branch", "remove", "--yes", "pr_1")
    assert refused.exit_code == 1
    assert "not this branch's" in refused.output
    assert catalogs.held() == before


def test_a_refusal_of_databricks_stops_the_removal_before_the_files(catalogs: Catalogs) -> None:
    catalogs.apply(branch="pr_1")
    settings = Settings(_env_file=None, **_settings(catalogs.environment))  # type: ignore[arg-type]
    lake = Lake.of(settings)
    catalogs.fake.faults.append(Fault("DELETE .*/catalogs/", Refused(403, "PERMISSION_DENIED", "not yours")))
    refused = catalogs.run("branch", "remove", "--yes", "pr_1")
    assert refused.exit_code == 1
    assert "not permitted: not yours" in refused.output
    assert lake.exists()
    assert catalogs.run("branch", "remove", "--yes", "pr_1").exit_code == 0
    assert not lake.exists()


def _settings(environment: dict[str, str]) -> dict[str, str]:
    names = ("root", "azure_endpoint", "azure_account_key")
    return {**{name: environment[f"LAKE_{name.upper()}"] for name in names}, "branch": "pr_1"}
