"""What Auto Loader is told of a data set: a pure function of its contract."""

from dagster_lake.contract.model import Contract, FileSource
from dagster_lake.landing.dropped import ENDINGS


def auto_loader_options(contract: Contract, checkpoint: str) -> dict[str, str]:
    """The options of ``cloudFiles`` for the data set's files; Spark's own file sources ignore those with its name.

    Files are looked for, not parsed: raw keeps bytes, and types are silver's affair. Capture's Avro is parsed by a
    schema that we give, so that nothing is inferred; what an event's envelope has beyond it is rescued.
    """
    options = {
        "cloudFiles.includeExistingFiles": "true",
        "cloudFiles.schemaLocation": f"{checkpoint}/schema",
        "recursiveFileLookup": "true",
    }
    if isinstance(contract.source, FileSource):
        endings = ",".join(ending.lstrip(".") for ending in ENDINGS[contract.source.format])
        return options | {
            "cloudFiles.format": "binaryFile",
            # A file written again under its own name is a new one.
            "cloudFiles.allowOverwrites": "true",
            # One snapshot a run, however many files have come: the folder is landed once, as it stands.
            "cloudFiles.maxFilesPerTrigger": "1000000",
            "pathGlobFilter": f"*.{{{endings}}}",
        }
    return options | {
        "cloudFiles.format": "avro",
        "rescuedDataColumn": "_rescued_data",
        # A micro-batch of events passes through the driver, hour by hour.
        "cloudFiles.maxBytesPerTrigger": "512m",
        "pathGlobFilter": "*.avro",
    }
