"""What `lake doctor` says of a local Spark."""

from pathlib import Path

import pytest

from dagster_lake.cli.doctor import spark as checkup_spark
from dagster_lake.engines.spark.java import Java, NoJava, find_java, major_version, require_java
from dagster_lake.settings.lake import Settings


def settings(**values: object) -> Settings:
    return Settings(_env_file=None, **values)  # type: ignore[call-arg, arg-type]


def fake_java(folder: Path, says: str) -> Path:
    """A program that answers `java -version`; only its answer matters here."""
    program = folder / "bin" / "java"
    program.parent.mkdir(parents=True)
    program.write_text(f"#!/bin/sh\necho '{says}' >&2\n")
    program.chmod(0o755)
    return folder


@pytest.mark.parametrize(
    ("says", "major"),
    [
        ('openjdk version "17.0.15" 2025-04-15', 17),
        ('java version "1.8.0_392"', 8),
        ('openjdk version "21" 2023-09-19', 21),
        ("command not found", None),
    ],
)
def test_the_version_is_read_from_what_java_says(says: str, major: int | None) -> None:
    assert major_version(says) == major


def test_nothing_is_said_of_spark_where_it_is_not_chosen() -> None:
    assert checkup_spark.spark_findings(settings(engine="duckdb")) == []


def test_a_missing_java_says_what_to_install(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("JAVA_HOME", raising=False)
    monkeypatch.setenv("PATH", str(tmp_path))

    finding = checkup_spark.java(find_java())

    assert finding.level == "fail"
    assert "openjdk-17" in finding.remedy
    with pytest.raises(NoJava, match="openjdk-17"):
        require_java()


def test_a_java_too_old_is_named_with_where_it_was_found(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("JAVA_HOME", str(fake_java(tmp_path, 'openjdk version "11.0.2" 2019-01-15')))

    finding = checkup_spark.java(find_java())

    assert finding.level == "fail"
    assert "JAVA_HOME" in finding.says
    assert "Java 11" in finding.says
    with pytest.raises(NoJava, match="Java 11"):
        require_java()


def test_a_java_home_that_holds_no_java_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("JAVA_HOME", str(tmp_path))

    finding = checkup_spark.java(find_java())

    assert finding.level == "fail"
    assert str(tmp_path) in finding.says


def test_a_good_java_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("JAVA_HOME", str(fake_java(tmp_path, 'openjdk version "17.0.15" 2025-04-15')))

    assert checkup_spark.java(find_java()) == checkup_spark.java(Java(str(tmp_path / "bin" / "java"), "JAVA_HOME", 17))
    assert checkup_spark.java(find_java()).level == "ok"


@pytest.mark.parametrize(("version", "level"), [(None, "fail"), ("4.3.0", "fail"), ("4.2.0", "ok")])
def test_pyspark_must_be_the_one_the_delta_jars_are_built_for(version: str | None, level: str) -> None:
    assert checkup_spark.pyspark(version).level == level


def test_a_folder_without_the_delta_jars_is_named(tmp_path: Path) -> None:
    finding = checkup_spark.jars(settings(engine="spark", spark_jars=str(tmp_path)))

    assert finding.level == "fail"
    assert "LAKE_SPARK_JARS" in finding.says
    assert str(tmp_path) in finding.says
