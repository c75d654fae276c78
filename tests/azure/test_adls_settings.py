"""From the settings to what fsspec and delta-rs are told; no storage is asked."""

import asyncio
import pickle
import sys
import time
from dataclasses import dataclass, field

import pytest

from dagster_lake.settings.lake import Settings
from dagster_lake.storage.adls.errors import StorageError, reaching
from dagster_lake.storage.adls.identity import SCOPE, SHORTEST_SECONDS, Identity, default_identity
from dagster_lake.storage.adls.options import AzureSettingsError, adls_root, delta_options
from dagster_lake.storage.adls.path import AddressError, AdlsPath, parse_address
from dagster_lake.storage.delta import write as delta
from dagster_lake.storage.paths import Lake

ROOT = "abfss://lake@shop.dfs.core.windows.net/a"
SAS = "sv=2024&se=2020-01-01T00%3A00%3A00Z&sig=topsecret%3D"


def settings(root: str = ROOT, **values: object) -> Settings:
    return Settings(_env_file=None, root=root, **values)  # type: ignore[call-arg, arg-type]


@pytest.mark.parametrize(
    ("url", "account"),
    [(ROOT, None), (f"{ROOT}/", None), ("az://lake/a", "shop"), ("abfss://lake/a/", "shop"), (ROOT, "another")],
)
def test_every_way_to_write_a_root_is_the_same_place(url: str, account: str | None) -> None:
    root = adls_root(settings(url, azure_account=account, azure_account_key="a2V5"))
    assert str(root / "silver") == f"{ROOT}/silver"
    assert str(root.beside(f"{ROOT}/silver/x")) == str(root / "silver" / "x")


@pytest.mark.parametrize(
    ("url", "says"),
    [
        ("s3://lake/a", "no lake in ADLS Gen2; write abfss://"),
        ("az://lake/a", "does not name its account; .*LAKE_AZURE_ACCOUNT"),
        ("abfss://Lake_1@shop.dfs.core.windows.net/a", "'Lake_1' cannot name a container"),
        ("abfss://lake@shop.dfs.core.windows.net/a?sv=1&sig=topsecret", "goes into LAKE_AZURE_SAS"),
    ],
)
def test_a_root_that_is_none_is_refused_with_the_remedy(url: str, says: str) -> None:
    with pytest.raises(AddressError, match=says) as error:
        parse_address(url, None)
    assert "topsecret" not in str(error.value)


def test_a_key_opens_files_and_tables_alike() -> None:
    root = adls_root(settings(azure_account_key="c2VjcmV0"))
    assert root.storage_options["connection_string"] == (
        "BlobEndpoint=https://shop.blob.core.windows.net;AccountName=shop;AccountKey=c2VjcmV0"
    )
    assert delta_options(root) == {
        "azure_storage_account_name": "shop",
        "azure_storage_account_key": "c2VjcmV0",
        "azure_storage_endpoint": "https://shop.blob.core.windows.net",
        "allow_http": "false",
    }


def test_a_signature_may_begin_with_a_question_mark() -> None:
    root = adls_root(settings(azure_sas=f"?{SAS}"))
    assert (delta_options(root) or {})["azure_storage_sas_token"] == SAS
    assert str(root.storage_options["connection_string"]).endswith(f"SharedAccessSignature={SAS}")


def test_a_missing_library_is_told_with_the_extra_that_has_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "adlfs", None)
    with pytest.raises(AzureSettingsError, match=r"needs adlfs: pip install 'dagster-lake\[azure\]'"):
        Lake.of(settings(azure_account_key="a2V5"))


def test_settings_that_exclude_each_other_are_refused() -> None:
    with pytest.raises(AzureSettingsError, match="LAKE_AZURE_ACCOUNT_KEY and LAKE_AZURE_SAS are both set"):
        adls_root(settings(azure_sas=SAS, azure_account_key="a2V5"))
    with pytest.raises(AzureSettingsError, match="is not https"):
        adls_root(settings(azure_endpoint="http://127.0.0.1:1/x"))


def test_no_secret_is_in_what_is_printed() -> None:
    for own in ({"azure_sas": SAS}, {"azure_account_key": "c2VjcmV0"}):
        chosen = settings(**own)
        lake = Lake.placed(chosen)
        said = f"{chosen!r} {chosen} {lake!r} {lake.root} {lake.table('silver', 'users')!r} {lake.marker}"
        assert "topsecret" not in said
        assert "c2VjcmV0" not in said


def test_a_path_travels_to_another_process_with_its_credential() -> None:
    root = pickle.loads(pickle.dumps(adls_root(settings(azure_account_key="c2VjcmV0"))))
    assert isinstance(root, AdlsPath)
    assert (delta_options(root / "t") or {})["azure_storage_account_key"] == "c2VjcmV0"
    with_identity = pickle.loads(pickle.dumps(adls_root(settings())))
    assert with_identity.storage_options["credential"] is default_identity()


@dataclass
class FakeToken:
    token: str
    expires_on: int


@dataclass
class FakeCredential:
    """Hands out numbered tokens that last ``seconds``, and notes what it was asked for."""

    seconds: float
    asked: list[str] = field(default_factory=list)

    def get_token(self, scope: str) -> FakeToken:
        self.asked.append(scope)
        return FakeToken(f"token-{len(self.asked)}", int(time.time() + self.seconds))


def test_a_token_for_storage_is_asked_for_once_while_it_lasts() -> None:
    credential = FakeCredential(seconds=3600)
    root = adls_root(settings(), Identity(lambda: credential))
    assert credential.asked == []
    assert delta_options(root) == delta_options(root / "silver")
    assert delta_options(root) == {
        "azure_storage_account_name": "shop",
        "azure_storage_endpoint": "https://shop.blob.core.windows.net",
        "azure_storage_token": "token-1",
    }
    assert asyncio.run(root.storage_options["credential"].get_token(SCOPE)).token == "token-1"
    assert credential.asked == ["https://storage.azure.com/.default"]


def test_a_token_is_replaced_well_before_it_expires() -> None:
    credential = FakeCredential(seconds=SHORTEST_SECONDS - 5)
    root = adls_root(settings(), Identity(lambda: credential))
    assert [(delta_options(root) or {})["azure_storage_token"] for _ in range(2)] == ["token-1", "token-2"]


def test_a_table_that_is_held_is_loaded_anew_with_a_new_token(monkeypatch: pytest.MonkeyPatch) -> None:
    credential = FakeCredential(seconds=SHORTEST_SECONDS - 5)
    uri = adls_root(settings(), Identity(lambda: credential)) / "silver" / "users"

    class Held:
        _storage_options = delta_options(uri)

    monkeypatch.setattr(delta, "_commit_file", lambda _: ("etag",))
    monkeypatch.setattr(delta, "_exists", lambda _: False)
    held = object.__new__(delta.Pinned)
    held.__dict__.update(uri=uri, table=Held(), version=0)
    assert delta._still_newest((("etag",), held)) is None
    Held._storage_options = {**(delta_options(uri) or {}), "azure_storage_token": f"token-{len(credential.asked) + 1}"}
    assert delta._still_newest((("etag",), held)) is held


@pytest.mark.parametrize(
    ("own", "error", "says"),
    [
        ({"azure_sas": SAS}, OSError("403 Forbidden"), "LAKE_AZURE_SAS: it expired at 2020-01-01 00:00 UTC"),
        ({"azure_account_key": "a2V5"}, OSError("403 Forbidden"), "LAKE_AZURE_ACCOUNT_KEY; is it a key of"),
        ({}, OSError("AuthenticationFailed"), "role Storage Blob Data Contributor"),
        ({}, RuntimeError("AuthorizationPermissionMismatch"), "DefaultAzureCredential is known there but"),
        ({"azure_sas": SAS}, RuntimeError("ErrorCode:ContainerNotFound"), "no container 'lake' in the .* 'shop'"),
        ({"azure_sas": SAS}, OSError("error sending request: dns error"), "the account name 'shop' in LAKE_ROOT"),
        ({"azure_sas": SAS, "azure_endpoint": "http://x"}, OSError("tcp connect error"), "LAKE_AZURE_ENDPOINT"),
    ],
)
def test_what_goes_wrong_is_said_with_the_setting_to_mend(own: dict[str, object], error: Exception, says: str) -> None:
    with pytest.raises(StorageError, match=says) as told, reaching(adls_root(settings(**own))):
        raise error
    assert "topsecret" not in str(told.value)


def test_any_other_error_is_left_as_it_is() -> None:
    with pytest.raises(KeyError), reaching(adls_root(settings(azure_sas=SAS))):
        raise KeyError("x")
