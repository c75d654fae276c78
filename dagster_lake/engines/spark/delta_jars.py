"""The Delta jars of a local Spark: fetched once by Spark's own resolver, kept, and used from then on.

pyspark brings Spark's jars and not Delta's. Delta builds its jars for one Spark version each, so the two are pinned
together here: pyspark 4.2 with Delta 4.4.0, the newest that Maven Central has for it. (PyPI's delta-spark may be a
step ahead of the jars; the lake does not use it.)
"""

from pathlib import Path

from filelock import FileLock

from dagster_lake.errors import LakeError
from dagster_lake.settings.lake import Settings

SPARK = "4.2"
DELTA = "4.4.0"
PACKAGE = f"io.delta:delta-spark_{SPARK}_2.13:{DELTA}"
# What Delta asks for beside its own jars comes with Spark already.
_SPARK_HAS = (
    "org.apache.hadoop:hadoop-client-api",
    "org.apache.hadoop:hadoop-client-runtime",
    "org.apache.parquet:parquet-hadoop",
    "org.apache.parquet:parquet-column",
    "org.apache.logging.log4j:log4j-core",
    "org.apache.logging.log4j:log4j-api",
    "org.apache.logging.log4j:log4j-slf4j2-impl",
    "org.slf4j:slf4j-api",
    "com.fasterxml.jackson.core:jackson-core",
    "com.fasterxml.jackson.core:jackson-databind",
    "com.fasterxml.jackson.core:jackson-annotations",
    "com.fasterxml.jackson.datatype:jackson-datatype-jdk8",
    "org.roaringbitmap:RoaringBitmap",
    "com.github.luben:zstd-jni",
    "org.xerial.snappy:snappy-java",
    "org.locationtech.jts:jts-core",
)


class DeltaJarsError(LakeError):
    """The Delta jars are not where the settings say; the message names the setting."""


class DeltaJars:
    """The jars in ``settings.spark_jars``, or those kept in this user's cache folder."""

    def __init__(self, settings: Settings) -> None:
        self.given = Path(settings.spark_jars) if settings.spark_jars else None
        self.cache = Path.home() / ".cache" / "dagster_lake" / f"delta-{DELTA}-spark-{SPARK}"

    @property
    def lock(self) -> FileLock:
        """Held while the jars are fetched: two Sparks that start at once must not write the same files."""
        self.cache.mkdir(parents=True, exist_ok=True)
        return FileLock(self.cache / ".lock")

    def kept(self) -> list[str]:
        """The jars that are there; empty when they are to be fetched. Raises DeltaJarsError for a wrong setting."""
        if self.given is None:
            return _jars(self.cache / "jars") if (self.cache / "fetched").exists() else []
        found = _jars(self.given)
        if not any(Path(jar).name.endswith(f"delta-spark_{SPARK}_2.13-{DELTA}.jar") for jar in found):
            raise DeltaJarsError(
                f"LAKE_SPARK_JARS={self.given} holds no delta-spark_{SPARK}_2.13-{DELTA}.jar; put {PACKAGE} and the "
                "io.delta and io.unitycatalog jars that it names there, or unset it to have them fetched"
            )
        return found

    def options(self) -> dict[str, str]:
        """The Spark configuration that uses the jars, or fetches them."""
        kept = self.kept()
        if kept:
            return {"spark.jars": ",".join(kept)}
        return {
            "spark.jars.packages": PACKAGE,
            "spark.jars.excludes": ",".join(_SPARK_HAS),
            "spark.jars.ivy": str(self.cache),
        }

    def fetched(self) -> None:
        """Notes that a Spark has started with the fetched jars."""
        if self.given is None:
            (self.cache / "fetched").touch()


def _jars(folder: Path) -> list[str]:
    return sorted(str(jar) for jar in folder.glob("*.jar"))
