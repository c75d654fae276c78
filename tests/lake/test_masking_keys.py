"""One table, one masking key: another one, or a lost one, is refused until somebody accepts it."""

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from dagster_lake.cli import app
from dagster_lake.contract.model import contracts
from dagster_lake.privacy.masking_key import MaskingKeyError, masking_key
from dagster_lake.settings.lake import Settings
from dagster_lake.storage.paths import Lake
from tests.lake.lakes import TINY, TestLake, write

PERSON = '{"id": 1, "name": "A", "phone_number": "+420601000000", "birth_number": "855615/1234", "user_name": "a"}\n'
OTHER = {"pii_key": "another masking key, of sufficient length", "pii_key_id": "other"}


def use(root: Path, **settings: str) -> None:
    lake = TestLake(root, {**TINY, **settings})
    write(root / "landing" / "users" / "users.jsonl", PERSON)
    lake.run_data_set("users", sources=False)


def marker(root: Path) -> dict[str, object]:
    found: dict[str, object] = json.loads((root / "lake.json").read_text())
    return found


def key_ids(root: Path) -> set[str]:
    return {row["phone_number"].split(":")[0] for row in TestLake(root).rows("silver/users_snapshots")}


def test_another_key_is_refused_with_the_remedy_and_taken_when_it_is_accepted(tmp_path: Path) -> None:
    root = tmp_path / "lake"
    use(root)
    assert marker(root)["masking_keys"] == ["test-1"]
    with pytest.raises(MaskingKeyError, match=r"key is 'other', and .* masked by test-1: .*`lake keys accept`"):
        use(root, **OTHER)
    assert key_ids(root) == {"test-1"}
    with TestLake(root, {**TINY, **OTHER}).here():
        assert CliRunner().invoke(app, ["keys", "accept"]).exit_code == 0
        assert CliRunner().invoke(app, ["keys", "list"]).output.split() == ["test-1", "other"]
    use(root, **OTHER)
    assert key_ids(root) == {"other"}
    assert "sufficient length" not in (root / "lake.json").read_text()


def test_a_lost_list_of_keys_does_not_let_another_key_in(tmp_path: Path) -> None:
    root = tmp_path / "lake"
    use(root)
    (root / "lake.json").write_text(json.dumps({k: v for k, v in marker(root).items() if k != "masking_keys"}))
    with pytest.raises(MaskingKeyError, match="masked by test-1"):
        use(root, **OTHER)
    use(root)
    assert marker(root)["masking_keys"] == ["test-1"]


def test_a_lost_key_of_the_lake_is_not_made_anew_in_silence(tmp_path: Path) -> None:
    settings, lake = Settings(_env_file=None, root=str(tmp_path)), Lake.at(str(tmp_path))  # type: ignore[call-arg]
    first = masking_key(settings, lake)
    file = tmp_path / "sources" / "pii.key"
    kept = file.read_text()
    file.unlink()
    with pytest.raises(MaskingKeyError, match=r"pii\.key is gone, .*`lake keys accept`"):
        masking_key(settings, lake)
    assert not file.exists()
    file.write_text(kept)
    assert masking_key(settings, lake) == first


def test_the_first_key_of_a_lake_is_its_own_whoever_comes_second(tmp_path: Path) -> None:
    lake = Lake.at(str(tmp_path))
    mine = Settings(_env_file=None, root=str(tmp_path), pii_key="k" * 48, pii_key_id="mine")  # type: ignore[arg-type,call-arg]
    other = mine.model_copy(update={"pii_key_id": "other"})
    masking_key(mine, lake)
    with pytest.raises(MaskingKeyError, match="masked by mine"):
        masking_key(other, lake)


def test_only_data_sets_that_mask_need_the_key(tmp_path: Path) -> None:
    root = tmp_path / "lake"
    use(root)
    lake = TestLake(root, {**TINY, **OTHER})
    write(root / "landing" / "vip_users" / "vips.jsonl", '{"id": 1}\n')
    lake.run_data_set("vip_users", sources=False)
    assert not any(p.masking for p in contracts()["vip_users"].properties)
