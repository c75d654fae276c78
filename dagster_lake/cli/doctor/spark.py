"""What `lake doctor` says of Spark, where the settings choose it."""

from importlib import metadata

from dagster_lake.cli.doctor.finding import Finding
from dagster_lake.engines.spark.delta_jars import SPARK, DeltaJars, DeltaJarsError
from dagster_lake.engines.spark.java import REMEDY, Java, find_java
from dagster_lake.settings.lake import Settings


def spark_findings(settings: Settings) -> list[Finding]:
    """Java, pyspark and the Delta jars, for a local Spark; nothing where another engine is chosen."""
    if settings.engine != "spark":
        return []
    return [java(find_java()), pyspark(_installed_pyspark()), jars(settings)]


def java(found: Java | None) -> Finding:
    """Whether there is a Java that Spark can run on."""
    if found is None:
        return Finding("fail", "Java", "there is none, by JAVA_HOME or on the PATH", REMEDY)
    if found.problem:
        return Finding("fail", "Java", found.problem, REMEDY)
    return Finding("ok", "Java", f"{found.major}, {found.program} (by {found.found_by})")


def pyspark(version: str | None) -> Finding:
    """Whether pyspark is the one that the Delta jars are built for."""
    remedy = "pip install 'dagster-lake[spark]', with the constraints file of this Python"
    if version is None:
        return Finding("fail", "pyspark", "not installed", remedy)
    if not version.startswith(f"{SPARK}."):
        return Finding("fail", "pyspark", f"{version}, and the Delta jars are built for {SPARK}", remedy)
    return Finding("ok", "pyspark", version)


def jars(settings: Settings) -> Finding:
    """Whether the Delta jars are there; the first start fetches them."""
    try:
        kept = DeltaJars(settings).kept()
    except DeltaJarsError as error:
        return Finding("fail", "Delta jars", str(error), "set LAKE_SPARK_JARS to the folder that holds them")
    if not kept:
        return Finding("ok", "Delta jars", "not fetched yet; the first start of Spark fetches 13 MB from Maven Central")
    return Finding(
        "ok",
        "Delta jars",
        f"{len(kept)} in {'the folder LAKE_SPARK_JARS names' if settings.spark_jars else 'the cache'}",
    )


def _installed_pyspark() -> str | None:
    try:
        return metadata.version("pyspark")
    except metadata.PackageNotFoundError:
        return None
