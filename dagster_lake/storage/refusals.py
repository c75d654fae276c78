"""What is noted of loads that silver withheld or a person accepted: ``<lake>/withheld/<data set>/<partition>.json``.

A load is refused for what raw holds of it, under the rules of a contract as one version of dagster_lake applies them.
While none of the three has changed, the refusal stands and need not be computed again.
"""

import json
from dataclasses import asdict, dataclass

from upath import UPath

from dagster_lake.commit import commit
from dagster_lake.storage.adls.path import is_adls
from dagster_lake.storage.paths import Lake, local_path
from dagster_lake.storage.publish import publish, withdraw


@dataclass(frozen=True)
class Note:
    """Of one load: what raw held (None: not known) and by which rules it was judged, in which run, and ``why`` it was
    refused; None where a person accepted it as it is."""

    raw: str | None
    rules: str
    run: str
    why: str | None

    @property
    def refused(self) -> bool:
        """Whether silver withheld the load."""
        return self.why is not None


def notes(lake: Lake, data_set: str) -> dict[str, Note]:
    """Every note of a data set, by partition: there are as many as there were bad loads."""
    folder = _folder(lake, data_set)
    if is_adls(folder):
        from dagster_lake.storage.adls.blobs import list_blobs, read_blob

        found = {blob.path.name: read_blob(blob.path) for blob in list_blobs(folder)}
        texts = {name: blob[0].decode() for name, blob in found.items() if blob is not None}
    elif folder.exists():
        texts = {file.name: file.read_text() for file in local_path(folder).iterdir() if file.suffix == ".json"}
    else:
        return {}
    return {name.removesuffix(".json"): Note(**json.loads(text)) for name, text in sorted(texts.items())}


def write_note(lake: Lake, data_set: str, partition: str, note: Note) -> None:
    """Notes a refusal or an acceptance, in place of what was noted before."""
    with commit(f"withheld.{data_set}"):
        publish(_file(lake, data_set, partition), json.dumps(asdict(note), indent=1, ensure_ascii=False) + "\n")


def remove_note(lake: Lake, data_set: str, partition: str) -> None:
    """Forgets what was noted of a load."""
    file = _file(lake, data_set, partition)
    with commit(f"withheld.{data_set}.over"):
        withdraw(file)


def _folder(lake: Lake, data_set: str) -> UPath:
    return lake.root / "withheld" / data_set


def _file(lake: Lake, data_set: str, partition: str) -> UPath:
    return _folder(lake, data_set) / f"{partition}.json"
