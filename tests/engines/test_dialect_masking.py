"""A hard contract comes out the same on both engines, and the masking key shows nowhere that Spark keeps."""

import base64
import hmac
import json
import subprocess
import sys
from decimal import Decimal
from pathlib import Path

import pyarrow as pa

from dagster_lake.compile.silver import silver_select
from dagster_lake.contract.model import Property
from tests.engines.dialects import DuckDBSide, Side, SparkSide
from tests.engines.hard_json import JSON, NO_UTF_8, NOT_JSON
from tests.unit.compiled import KEY, Row, events, line_rows, pads

CONTRACT = events(
    [
        Property("phone", "string", "d", masking="hmac"),
        Property("name", "string", "d", required=True, masking="partial", min_length=2, max_length=20),
        Property("street", "string", "d", masking="redact"),
        Property("birth_number", "string", "d", masking="hmac", pattern="^[0-9]{6}/[0-9]{3,4}$"),
        Property("price", "number", "d", precision=10, scale=2, minimum=0.5, maximum=1000),
        Property("ratio", "number", "d", minimum=-1e-7),
        Property("count", "integer", "d", maximum=2**40),
        Property("at", "timestamp", "d"),
        Property("day", "date", "d"),
        Property("ok", "boolean", "d"),
        Property("tags", "array", "d"),
        Property("city", "string", "d", allowed=("Brno", "it's", "a\\b", "${x}")),
        Property("sex", "string", "d", derivation="sex_of_birth_number", derived_from="birth_number"),
        Property("age_band", "string", "d", derivation="age_band_of_birth_number", derived_from="birth_number"),
    ]
)


def hard_lines() -> list[Row]:
    """Good rows, copies of them hours later, rows that break a rule or several, and what is no JSON."""
    good = {
        "phone": " +420601000000\n",
        "name": "Žaneta 😀",
        "street": "Dlouhá 7",
        "birth_number": "855615/1234",
        "price": "1.500",
        "ratio": 5e-324,
        "count": 2**40,
        "at": "2026-01-05T12:30+02:00",
        "day": "2024-02-29",
        "ok": "TRUE",
        "tags": ["a", None, {"b": [1.5, "😀"]}, 10],
        "city": "it's",
    }
    spoilt = [
        {"name": None},
        {"name": "x", "price": 0.49, "count": 2**41},
        {"birth_number": "855615-1234", "city": "Praha", "tags": "[1,]"},
        {"at": "2026-01-05T24:00:00Z", "day": "2026-02-29", "ok": 1, "ratio": "NaN"},
        {"price": 1000.01, "ratio": -1e-6},
        {"name": "n" * 21},
        {"name": "😀" * 20, "city": "${x}", "phone": "", "extra": {"x": [1, 2]}, "ž": "1.10"},
        {"city": "a\\b", "tags": '["1.10", 1.10]', "price": 1000},
    ]
    bodies = [json.dumps({"event_id": str(n), **good, **change}) for n, change in enumerate([{}, {}, *spoilt])]
    bodies.append('{"event_id":"raw","name":"raw","price":1.10,"tags":[ 1.10, 1e2 ],"more":[ 0.10 ]}')
    lines = [body.encode() for body in [*bodies, bodies[0], bodies[2], bodies[0], *NOT_JSON, *JSON]] + NO_UTF_8
    first = len(bodies)
    hours = ["2026-01-05T12"] * first + ["2026-01-06T12", "2026-01-05T13", "2026-01-07T13"]
    return line_rows(lines, [*hours, *["2026-01-05T12"] * (len(lines) - len(hours))])


def test_a_hard_contract_comes_out_the_same_on_both_engines(spark_side: SparkSide) -> None:
    def of(side: Side) -> list[list[Row]]:
        found = side.run(CONTRACT, hard_lines())
        tables = (found.bronze, found.silver, found.quarantine, found.losers)
        ordered = [sorted(rows, key=lambda row: row["_sequence_number"]) for rows in tables]
        return [*ordered, sorted(found.suspect_partitions), sorted(found.rescued)]  # type: ignore[list-item]

    embedded, spark = of(DuckDBSide()), of(spark_side)
    assert [len(rows) for rows in embedded[:4]] == [len(rows) for rows in spark[:4]]
    for wanted, found in zip(embedded, spark, strict=True):
        assert found == wanted
    bronze, silver, quarantine, losers = embedded[:4]
    plain = [row for row in losers if not row["_conflicting"]]
    assert len(bronze) == len(silver) + len(quarantine) + len(plain)
    assert {row["event_id"]: row["price"] for row in silver}["raw"] == Decimal("1.10")
    assert len(losers) >= 1
    assert silver[0]["phone"] == "test-1:" + hmac.new(KEY, b"+420601000000", "sha256").hexdigest()


def in_other_words(secret: bytes) -> list[bytes]:
    """The ways in which a plan or a log could show some bytes."""
    signed = ", ".join(str(b - 256 if b > 127 else b) for b in secret[:16])
    return [
        secret[:16],
        secret.hex().encode()[:32],
        secret.hex().upper().encode()[:32],
        " ".join(f"{b:02X}" for b in secret[:16]).encode(),
        base64.b64encode(secret)[:20],
        signed.encode(),
        signed.replace(" ", "").encode(),
    ]


def test_no_plan_shows_the_key(spark_side: SparkSide) -> None:
    spark_side.run(CONTRACT, hard_lines()[:1])
    made = spark_side.spark.sql(silver_select(CONTRACT, spark_side.dialect))
    assert len(made.collect()) == 1
    execution = made._jdf.queryExecution()
    plans = "\n".join([execution.toString(), execution.stringWithStats(), execution.executedPlan().treeString()])
    assert "masking_key" in plans
    for secret in (KEY, pads()["inner_pad"], pads()["outer_pad"]):
        assert [words for words in in_other_words(secret) if words in plans.encode()] == []


LOGGED = """
import sys
from pyspark.sql import SparkSession
from tests.engines.dialects import SparkSide
from tests.engines.test_dialect_masking import CONTRACT, hard_lines

builder = SparkSession.builder.master("local[1]").config("spark.ui.enabled", "false")
builder = builder.config("spark.driver.host", "127.0.0.1").config("spark.driver.bindAddress", "127.0.0.1")
builder = builder.config("spark.eventLog.enabled", "true").config("spark.eventLog.dir", sys.argv[1])
builder = builder.config("spark.eventLog.compress", "false").config("spark.sql.session.timeZone", "UTC")
spark = builder.getOrCreate()
print(len(SparkSide(spark).run(CONTRACT, hard_lines()[:1]).silver))
spark.stop()
"""


def test_spark_s_event_log_does_not_show_the_key(tmp_path: Path) -> None:
    done = subprocess.run([sys.executable, "-c", LOGGED, tmp_path.as_uri()], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "1"
    logged = b"".join(file.read_bytes() for file in tmp_path.rglob("*") if file.is_file())
    assert b"SparkListenerSQLExecutionStart" in logged
    assert b"inner_pad" in logged
    for secret in (KEY, pads()["inner_pad"], pads()["outer_pad"]):
        assert [words for words in in_other_words(secret) if words in logged] == []


def test_hmac_on_spark_is_python_s_hmac(spark_side: SparkSide) -> None:
    texts = ["", "a\x00b", "ž" * 200, "😀", "+420601000000", None]
    spark_side.offer("masking_key", pa.table({name: [value] for name, value in pads().items()}))
    found = spark_side.evaluate(spark_side.dialect.hmac_sha256("x"), texts, pa.string())
    assert found == [None if text is None else hmac.new(KEY, text.encode(), "sha256").hexdigest() for text in texts]
