"""Bronze, silver and gold written by hand: DuckDB SQL over the same raw files, into Delta tables by deltalake.

The baseline of bench.demo_scale: what a good engineer would write for exactly these data sets, once, for tables that do
not exist yet. No contracts, no replacing of single hours, no crash safety, no counts, no checks. Each layer reads
the lake's own layer before it, so that both sides read the same files.
"""

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import duckdb
import pyarrow as pa
from deltalake import DeltaTable, write_deltalake

from dagster_lake.privacy.masking_key import masking_key
from dagster_lake.settings.lake import Settings
from dagster_lake.storage.paths import Lake

BATCH_ROWS = 100_000
Job = Callable[[], None]

USERS = [
    "id",
    "name",
    "city",
    "street_address",
    "phone_number",
    "birth_number",
    "user_name",
    "administrative_unit",
    "description",
    "jobs",
]
PRODUCTS = ["id", "name", "description", "category", "price", "pages"]
PAGEVIEWS = ["event_id", "user_id", "http_method", "uri", "client_ip", "user_agent", "latency", "event_time"]
STARS = ["event_id", "user_id", "stars", "event_time"]
SENSITIVE = {"users", "vip_users", "products", "pageviews", "stars"}
POSITION_OF_FILE = "_source_modified, _source_file, _source_row"
POSITION_OF_EVENT = "_enqueued_time, _partition, _sequence_number"


class ByHand:
    """The jobs of each layer, one a data set or model: from ``lake`` into ``out``."""

    def __init__(self, con: duckdb.DuckDBPyConnection, lake: Path, out: Path, settings: Settings) -> None:
        self.con = con
        self.lake = lake
        self.out = out
        self.settings = settings

    def jobs(self, layer: str) -> dict[str, Job]:
        """The work of ``layer``, by data set (bronze, silver) or model (gold)."""
        return {"bronze": self.bronze, "silver": self.silver, "gold": self.gold}[layer]()

    # ---- bronze ----

    def bronze(self) -> dict[str, Job]:
        """Lines as columns of text, what is unknown rescued; rows of the database as they are."""
        return {
            "users": lambda: self.json_lines("users", USERS),
            "vip_users": lambda: self.json_lines("vip_users", ["id"]),
            "products": self.bronze_products,
            "orders": lambda: self.database_rows("orders", "order_id, user_id, order_date, order_value, updated_at"),
            "order_items": lambda: self.database_rows(
                "order_items", "order_id, row_id, product_id, quantity, unit_price, updated_at"
            ),
            "pageviews": lambda: self.events("pageviews", PAGEVIEWS),
            "stars": lambda: self.events("stars", STARS),
        }

    def json_lines(self, data_set: str, fields: list[str]) -> None:
        """One file of JSON lines."""
        (landed,) = self.landed(data_set)
        lines = f"""
            SELECT line, row_number() OVER () AS _source_row FROM read_csv({text(landed["filename"])},
              columns = {{'line': 'VARCHAR'}}, header = false, auto_detect = false, delim = '\x01', quote = '',
              escape = '')
        """
        position = (
            f"CAST({text(landed['modified'])} AS TIMESTAMPTZ) AS _source_modified, {text(landed['source'])} AS "
            f"_source_file, _source_row, CAST({text(landed['landed_at'])} AS TIMESTAMPTZ) AS _ingested_at, "
            f"{text(landed['partition'])} AS _snapshot"
        )
        sql = f"{parsed(fields)}, {position} {lines_as_objects(fields, f'({lines}) WHERE line IS NOT NULL')}"
        self.write("bronze", data_set, sql, "_snapshot")

    def bronze_products(self) -> None:
        """Documents, packed in Parquet."""
        (landed,) = self.landed("products")
        # A price as text keeps its digits: DuckDB's JSON would make 97.4 of 97.40.
        kept = """regexp_replace(decode(body), '"price": ?([0-9][0-9.]*)', '"price":"\\1"')"""
        line = f"CASE WHEN json_valid(decode(body)) THEN {kept} ELSE decode(body) END"
        documents = f"(SELECT *, {line} AS line FROM read_parquet({text(landed['filename'])}))"
        position = (
            f"modified AS _source_modified, source_file AS _source_file, 1::BIGINT AS _source_row, "
            f"CAST({text(landed['landed_at'])} AS TIMESTAMPTZ) AS _ingested_at, "
            f"{text(landed['partition'])} AS _snapshot"
        )
        sql = f"{parsed(PRODUCTS)}, {position} {lines_as_objects(PRODUCTS, documents)}"
        self.write("bronze", "products", sql, "_snapshot")

    def events(self, data_set: str, fields: list[str]) -> None:
        """Events of all hours."""
        events = f"(SELECT *, decode(body) AS line FROM {self.hours(data_set)})"
        position = (
            "enqueued_time AS _enqueued_time, partition AS _partition, sequence_number AS _sequence_number, "
            "label AS _source_file, sequence_number AS _source_row, landed_at AS _ingested_at, _lake_hour"
        )
        self.write("bronze", data_set, f"{parsed(fields)}, {position} {lines_as_objects(fields, events)}", "_lake_hour")

    def database_rows(self, table: str, columns: str) -> None:
        """Rows of all hours."""
        sql = f"""
            SELECT {columns}, NULL::VARCHAR AS _rescued_data, label AS _source_file,
              file_row_number + 1 AS _source_row, landed_at AS _ingested_at, _lake_hour
            FROM {self.hours(table)}
        """
        self.write("bronze", table, sql, "_lake_hour")

    def hours(self, data_set: str) -> str:
        """The raw Parquet files of a data set, each row with its hour, landing time and label."""
        landed = self.landed(data_set)
        self.con.register("landed", pa.Table.from_pylist(landed))
        paths = ", ".join(text(file["filename"]) for file in landed)
        self.con.execute(
            "CREATE OR REPLACE TEMP TABLE files AS SELECT filename, label, landed_at::TIMESTAMPTZ AS landed_at, "
            "partition AS _lake_hour FROM landed"
        )
        return f"read_parquet([{paths}], filename = true, file_row_number = true) JOIN files USING (filename)"

    def landed(self, data_set: str) -> list[dict[str, str]]:
        """The files that raw's manifests name."""
        found = []
        for manifest in sorted((self.zone(data_set) / "raw" / data_set).glob("*/_manifest.json")):
            described = json.loads(manifest.read_text())
            for attempt in described["attempts"]:
                for number, file in enumerate(attempt["files"], 1):
                    found.append(
                        {
                            "filename": str(manifest.parent / file["path"]),
                            "partition": described["partition"],
                            "landed_at": attempt["landed_at"],
                            "label": f"{data_set}/{described['partition']}/{attempt['number']}-{number}",
                            "source": file.get("source", ""),
                            "modified": file.get("modified", ""),
                        }
                    )
        return found

    # ---- silver ----

    def silver(self) -> dict[str, Job]:
        """Typed, deduplicated and masked; what breaks a rule into quarantine; the newest row of each key."""
        return {
            "users": self.silver_users,
            "vip_users": self.silver_vip_users,
            "products": self.silver_products,
            "orders": self.silver_orders,
            "order_items": self.silver_order_items,
            "pageviews": self.silver_pageviews,
            "stars": self.silver_stars,
        }

    def silver_users(self) -> None:
        """Users, masked."""
        self.typed(
            "users",
            "try_cast(trim(id) AS BIGINT) AS number, nullif(trim(name), '') AS v_name, "
            "nullif(trim(birth_number), '') AS v_birth, nullif(trim(user_name), '') AS v_user",
            {
                "id:required": "id IS NULL AND {whole}",
                "id:type": "id IS NOT NULL AND number IS NULL",
                "id:minimum": "number < 0",
                "name:required": "v_name IS NULL AND {whole}",
                "birth_number:required": "v_birth IS NULL AND {whole}",
                "birth_number:pattern": "NOT regexp_full_match(v_birth, '[0-9]{{6}}/[0-9]{{3,4}}')",
                "user_name:required": "v_user IS NULL AND {whole}",
                "jobs:type": "jobs IS NOT NULL AND NOT json_valid(jobs)",
            },
        )
        born = """
            (CASE WHEN length(v_birth) = 10 OR left(v_birth, 2) >= '54' THEN 1900 ELSE 2000 END
              + left(v_birth, 2)::INT) * 10000 + v_birth[3:4]::INT % 50 % 20 * 100 + v_birth[5:6]::INT
        """
        sql = f"""
            SELECT number AS id, left(v_name, 1) || '***' AS name, nullif(trim(city), '') AS city,
              CASE WHEN nullif(trim(street_address), '') IS NOT NULL THEN '***' END AS street_address,
              {self.hashed("nullif(trim(phone_number), '')")} AS phone_number, {self.hashed("v_birth")} AS birth_number,
              v_user AS user_name, nullif(trim(administrative_unit), '') AS administrative_unit,
              nullif(trim(description), '') AS description, from_json(jobs, '["VARCHAR"]') AS jobs,
              CASE WHEN v_birth[3:4]::INT > 50 THEN 'female' ELSE 'male' END AS sex,
              CASE WHEN age < 13 THEN 'child' WHEN age < 18 THEN 'teenager' ELSE 'adult' END AS age_band, _snapshot
            FROM (SELECT *, (replace(_snapshot[1:10], '-', '')::INT - ({born})) // 10000 AS age
                  FROM typed WHERE NOT broken
                  QUALIFY row_number() OVER (
                    PARTITION BY _snapshot, number ORDER BY {newest_first(POSITION_OF_FILE)}) = 1)
        """
        self.write_snapshot("users", USERS, sql, self.pads())

    def silver_vip_users(self) -> None:
        """The ids of VIPs."""
        self.typed(
            "vip_users",
            "try_cast(trim(id) AS BIGINT) AS number",
            {"id:required": "id IS NULL AND {whole}", "id:type": "id IS NOT NULL AND number IS NULL"},
        )
        sql = f"""
            SELECT number AS id, _snapshot FROM typed WHERE NOT broken
            QUALIFY row_number() OVER (PARTITION BY _snapshot, number ORDER BY {newest_first(POSITION_OF_FILE)}) = 1
        """
        self.write_snapshot("vip_users", ["id"], sql)

    def silver_products(self) -> None:
        """Products with exact prices."""
        self.typed(
            "products",
            "try_cast(trim(id) AS BIGINT) AS number, nullif(trim(name), '') AS v_name, "
            "try_cast(trim(price) AS DECIMAL(10, 2)) AS v_price",
            {
                "id:required": "id IS NULL AND {whole}",
                "id:type": "id IS NOT NULL AND number IS NULL",
                "id:minimum": "number < 0",
                "name:required": "v_name IS NULL AND {whole}",
                "price:required": "price IS NULL AND {whole}",
                "price:type": "price IS NOT NULL AND v_price IS NULL",
                "price:minimum": "v_price < 0",
                "pages:type": "pages IS NOT NULL AND NOT json_valid(pages)",
            },
        )
        sql = f"""
            SELECT number AS id, v_name AS name, nullif(trim(description), '') AS description,
              nullif(trim(category), '') AS category, v_price AS price,
              from_json(pages, '["VARCHAR"]') AS pages, _snapshot
            FROM typed WHERE NOT broken
            QUALIFY row_number() OVER (PARTITION BY _snapshot, number ORDER BY {newest_first(POSITION_OF_FILE)}) = 1
        """
        self.write_snapshot("products", PRODUCTS, sql)

    def silver_orders(self) -> None:
        """Orders: every change, and the newest."""
        rules = {
            **{f"{c}:required": f"{c} IS NULL" for c in ("order_id", "user_id", "order_date", "order_value")},
            "order_value:minimum": "order_value < 0",
            "updated_at:required": "updated_at IS NULL",
        }
        self.database_silver("orders", "order_id", "order_id, user_id, order_date, order_value, updated_at", rules)

    def silver_order_items(self) -> None:
        """Lines of orders: every change, and the newest."""
        columns = "order_id, row_id, product_id, quantity, unit_price, updated_at"
        rules = {
            **{f"{c}:required": f"{c} IS NULL" for c in columns.split(", ")},
            "quantity:minimum": "quantity < 1",
            "unit_price:minimum": "unit_price < 0",
        }
        self.database_silver("order_items", "order_id, row_id", columns, rules)

    def database_silver(self, name: str, key: str, columns: str, rules: dict[str, str]) -> None:
        """Rows of a table that breaks no rule, once a key and time, and the newest of each key."""
        self.con.execute(
            f"CREATE OR REPLACE VIEW typed AS SELECT *, {any_of(rules)} AS broken FROM {self.table('bronze', name)}"
        )
        position = "_source_file, _source_row, _ingested_at"
        self.write_quarantine(name, columns.split(", "), position, rules, "_lake_hour")
        sql = f"""
            SELECT {columns}, {position}, _lake_hour FROM typed WHERE NOT broken QUALIFY row_number() OVER (
              PARTITION BY _lake_hour, {key}, updated_at
              ORDER BY {newest_first("_ingested_at, _source_file, _source_row")}
            ) = 1
        """
        self.write("silver", f"{name}_changes", sql, "_lake_hour")
        newest = f"""
            SELECT * FROM {self.table("silver", f"{name}_changes", self.out)} QUALIFY row_number() OVER (
              PARTITION BY {key} ORDER BY {newest_first("updated_at, _ingested_at, _source_file, _source_row")}) = 1
        """
        self.write("silver", name, newest, "_lake_hour")

    def silver_pageviews(self) -> None:
        """Pageviews, once each, addresses hashed."""
        self.typed(
            "pageviews",
            "nullif(trim(event_id), '') AS v_event, try_cast(trim(user_id) AS BIGINT) AS v_user, "
            "nullif(trim(http_method), '') AS v_method, nullif(trim(uri), '') AS v_uri, "
            "try_cast(trim(latency) AS BIGINT) AS v_latency, try_cast(trim(event_time) AS TIMESTAMPTZ) AS v_time",
            {
                "event_id:required": "v_event IS NULL AND {whole}",
                "user_id:required": "user_id IS NULL AND {whole}",
                "user_id:type": "user_id IS NOT NULL AND v_user IS NULL",
                "http_method:required": "v_method IS NULL AND {whole}",
                "http_method:enum": "v_method NOT IN ('GET', 'POST', 'PUT', 'PATCH', 'DELETE', 'HEAD', 'OPTIONS')",
                "uri:required": "v_uri IS NULL AND {whole}",
                "latency:required": "latency IS NULL AND {whole}",
                "latency:type": "latency IS NOT NULL AND v_latency IS NULL",
                "latency:minimum": "v_latency < 0",
                "latency:maximum": "v_latency > 60000",
                "event_time:required": "event_time IS NULL AND {whole}",
                "event_time:type": "event_time IS NOT NULL AND v_time IS NULL",
            },
        )
        sql = f"""
            SELECT v_event AS event_id, v_user AS user_id, v_method AS http_method, v_uri AS uri,
              {self.hashed("nullif(trim(client_ip), '')")} AS client_ip, nullif(trim(user_agent), '') AS user_agent,
              v_latency AS latency, v_time AS event_time, {POSITION_OF_EVENT}, _ingested_at, _lake_hour
            FROM (SELECT * FROM typed WHERE NOT broken
                  QUALIFY row_number() OVER (PARTITION BY v_event ORDER BY {POSITION_OF_EVENT}) = 1)
        """
        self.write_events("pageviews", PAGEVIEWS, sql, self.pads())

    def silver_stars(self) -> None:
        """Ratings, once each."""
        self.typed(
            "stars",
            "nullif(trim(event_id), '') AS v_event, try_cast(trim(user_id) AS BIGINT) AS v_user, "
            "try_cast(trim(stars) AS BIGINT) AS v_stars, try_cast(trim(event_time) AS TIMESTAMPTZ) AS v_time",
            {
                "event_id:required": "v_event IS NULL AND {whole}",
                "user_id:required": "user_id IS NULL AND {whole}",
                "user_id:type": "user_id IS NOT NULL AND v_user IS NULL",
                "stars:required": "stars IS NULL AND {whole}",
                "stars:type": "stars IS NOT NULL AND v_stars IS NULL",
                "stars:minimum": "v_stars < 1",
                "stars:maximum": "v_stars > 5",
                "event_time:required": "event_time IS NULL AND {whole}",
                "event_time:type": "event_time IS NOT NULL AND v_time IS NULL",
            },
        )
        sql = f"""
            SELECT v_event AS event_id, v_user AS user_id, v_stars AS stars, v_time AS event_time, {POSITION_OF_EVENT},
              _ingested_at, _lake_hour
            FROM typed WHERE NOT broken
            QUALIFY row_number() OVER (PARTITION BY v_event ORDER BY {POSITION_OF_EVENT}) = 1
        """
        self.write_events("stars", STARS, sql)

    def typed(self, name: str, values: str, rules: dict[str, str]) -> None:
        """The view ``typed``: bronze with its values, whether the line is whole, and whether the row breaks a rule."""
        self.rules = {"malformed": "NOT whole"} | {code: rule.format(whole="whole") for code, rule in rules.items()}
        whole = "_rescued_data IS NULL OR (starts_with(_rescued_data, '{') AND json_valid(_rescued_data))"
        self.con.execute(
            f"CREATE OR REPLACE VIEW typed AS SELECT *, {any_of(self.rules)} AS broken FROM "
            f"(SELECT *, {values}, {whole} AS whole FROM {self.table('bronze', name)})"
        )

    def write_snapshot(
        self, name: str, fields: list[str], silver: str, parameters: dict[str, str | bytes] | None = None
    ) -> None:
        """Quarantine, the snapshot, and the newest rows, of which none is missing."""
        position = f"{POSITION_OF_FILE}, _ingested_at"
        self.write_quarantine(name, fields, position, self.rules, "_snapshot")
        self.write("silver", f"{name}_snapshots", silver, "_snapshot", parameters)
        taken = self.table("silver", f"{name}_snapshots", self.out)
        self.write("silver", name, f"SELECT *, NULL::VARCHAR AS _missing_since FROM {taken}", None)

    def write_events(
        self, name: str, fields: list[str], silver: str, parameters: dict[str, str | bytes] | None = None
    ) -> None:
        """Quarantine and silver."""
        position = f"{POSITION_OF_EVENT}, _source_file, _source_row, _ingested_at"
        self.write_quarantine(name, fields, position, self.rules, "_lake_hour")
        self.write("silver", name, silver, "_lake_hour", parameters)

    def write_quarantine(
        self, name: str, fields: list[str], position: str, rules: dict[str, str], partition: str
    ) -> None:
        """The rows that break a rule, with all the reasons."""
        reasons = ", ".join(f"CASE WHEN {rule} THEN {text(code)} END" for code, rule in rules.items())
        sql = f"""
            SELECT {", ".join(fields)}, _rescued_data, {position},
              list_sort(list_filter([{reasons}], lambda reason: reason IS NOT NULL)) AS _reasons, {partition}
            FROM typed WHERE broken
        """
        self.write("quarantine", name, sql, partition)

    def hashed(self, value: str) -> str:
        """HMAC-SHA-256, with the key's id before it."""
        return f"$key_id || ':' || sha256($outer || unhex(sha256($inner || encode({value}))))"

    def pads(self) -> dict[str, str | bytes]:
        """What ``hashed`` binds."""
        key = masking_key(self.settings, Lake.at(str(self.lake)))
        return {"key_id": key.id, "inner": key.inner_pad, "outer": key.outer_pad}

    # ---- gold ----

    def gold(self) -> dict[str, Job]:
        """The four tables people read."""
        return {
            "engagements": lambda: self.write("gold", "engagements", self.engagements(), None),
            "daily_sales": lambda: self.write("gold", "daily_sales", self.daily_sales(), None),
            "product_performance": lambda: self.write("gold", "product_performance", self.product_performance(), None),
            "users_history": lambda: self.write("gold", "users_history", self.users_history(), None),
        }

    def engagements(self) -> str:
        """What each user did."""
        return f"""
            WITH viewed AS (SELECT user_id, count(*) AS n FROM {self.table("silver", "pageviews")} GROUP BY user_id),
            rated AS (SELECT user_id, avg(stars) AS mean FROM {self.table("silver", "stars")} GROUP BY user_id),
            items AS (
              SELECT order_id, sum(quantity) AS n FROM {self.table("silver", "order_items")} GROUP BY order_id
            ),
            bought AS (
              SELECT user_id, count(*) AS n, sum(order_value) AS value, sum(items.n) AS items
              FROM {self.table("silver", "orders")} LEFT JOIN items USING (order_id) GROUP BY user_id
            )
            SELECT users.id, user_name, city, coalesce(viewed.n, 0) AS pageviews, coalesce(bought.n, 0) AS orders,
              coalesce(bought.value, 0)::DECIMAL(18, 2) AS total_orders_value,
              {mean_to_the_cent("bought.value", "bought.n")} AS avg_order_value,
              coalesce(bought.items, 0)::BIGINT AS total_items, rated.mean AS avg_stars, vips.id IS NOT NULL AS is_vip
            FROM {self.table("silver", "users")} users
            LEFT JOIN viewed ON viewed.user_id = users.id
            LEFT JOIN rated ON rated.user_id = users.id
            LEFT JOIN bought ON bought.user_id = users.id
            LEFT JOIN (FROM {self.table("silver", "vip_users")} WHERE _missing_since IS NULL) vips ON vips.id = users.id
        """

    def daily_sales(self) -> str:
        """Sales by day."""
        return f"""
            WITH items AS (
              SELECT order_id, sum(quantity) AS n, sum(quantity * unit_price) AS value
              FROM {self.table("silver", "order_items")} GROUP BY order_id
            )
            SELECT order_date::DATE AS day, count(*) AS orders, count(DISTINCT user_id) AS buyers,
              coalesce(sum(items.n), 0)::BIGINT AS items, sum(order_value)::DECIMAL(18, 2) AS revenue,
              (sum(order_value) - coalesce(sum(items.value), 0))::DECIMAL(18, 2) AS value_without_items,
              {mean_to_the_cent("sum(order_value)", "count(*)")} AS avg_order_value
            FROM {self.table("silver", "orders")} LEFT JOIN items USING (order_id) GROUP BY 1
        """

    def product_performance(self) -> str:
        """Sales by product, known or not."""
        return f"""
            WITH sold AS (
              SELECT product_id, count(DISTINCT order_id) AS orders, sum(quantity) AS quantity,
                sum(quantity * unit_price) AS revenue,
                sum(quantity) FILTER (NOT known) AS orphaned_quantity,
                sum(quantity * unit_price) FILTER (NOT known) AS orphaned_revenue
              FROM (
                SELECT *, order_id IN (SELECT order_id FROM {self.table("silver", "orders")}) AS known
                FROM {self.table("silver", "order_items")}
              ) GROUP BY product_id
            )
            SELECT coalesce(id, product_id) AS product_id, coalesce(name, 'unknown') AS name,
              CASE WHEN id IS NULL THEN 'unknown' ELSE category END AS category, coalesce(orders, 0) AS orders,
              coalesce(quantity, 0)::BIGINT AS quantity, coalesce(revenue, 0)::DECIMAL(18, 2) AS revenue,
              coalesce(orphaned_quantity, 0)::BIGINT AS orphaned_quantity,
              coalesce(orphaned_revenue, 0)::DECIMAL(18, 2) AS orphaned_revenue
            FROM {self.table("silver", "products")} FULL JOIN sold ON product_id = id
        """

    def users_history(self) -> str:
        """Versions of users: a new one where any attribute changed, or where the user was gone in between."""
        attributes = [*(f for f in USERS if f not in ("id", "jobs")), "sex", "age_band", "jobs"]
        columns = ", ".join(attributes)
        return f"""
            WITH snapshots AS (
              SELECT _snapshot, row_number() OVER (ORDER BY _snapshot) AS place,
                lead(_snapshot) OVER (ORDER BY _snapshot) AS next
              FROM (SELECT DISTINCT _snapshot FROM {self.table("silver", "users_snapshots")})
            ),
            seen AS (
              SELECT *, struct_pack({columns}) AS state
              FROM {self.table("silver", "users_snapshots")} JOIN snapshots USING (_snapshot)
            ),
            compared AS (
              SELECT *, coalesce(lag(place) OVER w = place - 1 AND lag(state) OVER w = state, false) AS same
              FROM seen WINDOW w AS (PARTITION BY id ORDER BY place)
            ),
            versions AS (
              SELECT *, count(*) FILTER (NOT same) OVER (PARTITION BY id ORDER BY place) AS version FROM compared
            )
            SELECT id, version, {columns},
              strptime(min(_snapshot) OVER v, '%Y-%m-%dT%H%M%SZ')::TIMESTAMPTZ AS valid_from,
              strptime(next, '%Y-%m-%dT%H%M%SZ')::TIMESTAMPTZ AS valid_to, next IS NULL AS is_current
            FROM versions WINDOW v AS (PARTITION BY id, version)
            QUALIFY place = max(place) OVER v
        """

    # ---- tables ----

    def zone(self, data_set: str) -> Path:
        """Where raw, bronze and quarantine of a data set are."""
        return self.lake / "sensitive" if data_set in SENSITIVE else self.lake

    def table(self, layer: str, name: str, root: Path | None = None) -> str:
        """A table as something to select from."""
        root = root or (self.zone(name) if layer == "bronze" else self.lake)
        files = DeltaTable(str(root / layer / name)).file_uris()
        paths = ", ".join(map(text, files))
        return f"read_parquet([{paths}], hive_partitioning = true, hive_types_autocast = false)"

    def write(
        self,
        layer: str,
        name: str,
        sql: str,
        partition: str | None,
        parameters: dict[str, str | bytes] | None = None,
    ) -> None:
        """Writes a new table."""
        rows = self.con.sql(sql, params=parameters or {}).to_arrow_reader(BATCH_ROWS)
        write_deltalake(str(self.out / layer / name), rows, partition_by=partition, mode="overwrite")


def parsed(fields: list[str]) -> str:
    """The SELECT list of a line's fields, and what no field holds."""
    columns = ", ".join(f"found[{place}] AS {name}" for place, name in enumerate(fields, 1))
    removal = json.dumps(dict.fromkeys(fields))
    known = f"[{', '.join(map(text, fields))}]"
    return f"""
        SELECT {columns}, CASE WHEN object IS NULL THEN rtrim(line, E'\\r\\n')
          WHEN NOT list_has_all({known}, json_keys(object)) THEN json_merge_patch(object, {text(removal)})::VARCHAR
          END AS _rescued_data
    """


def lines_as_objects(fields: list[str], lines: str) -> str:
    """The FROM clause of ``parsed``: lines that are JSON objects, with their fields' texts."""
    paths = ", ".join(text(f"$.{name}") for name in fields)
    return f"""
        FROM (SELECT *, json_extract_string(object, [{paths}]) AS found FROM (
          SELECT *, CASE WHEN json_valid(line) AND starts_with(line, '{{') THEN line END AS object FROM {lines}))
    """


def any_of(rules: dict[str, str]) -> str:
    """Whether one of the rules is broken."""
    return " OR ".join(f"coalesce({rule}, false)" for rule in rules.values())


def mean_to_the_cent(total: str, count: str) -> str:
    """The exact mean, rounded half up."""
    return f"((({total} * 100)::BIGINT * 2 + {count}) // ({count} * 2) / 100)::DECIMAL(18, 2)"


def newest_first(position: str) -> str:
    """ORDER BY the position, newest first."""
    return ", ".join(f"{column} DESC" for column in position.split(", "))


def text(value: str) -> str:
    """A SQL string."""
    return "'" + value.replace("'", "''") + "'"


@contextmanager
def by_hand(lake: Path, out: Path, settings: Settings) -> Iterator[ByHand]:
    """The jobs, with the memory and threads that the lake's own engine has."""
    with duckdb.connect(":memory:", config={"memory_limit": settings.memory_limit}) as con:
        con.execute("SET TimeZone = 'UTC'")
        if settings.threads:
            con.execute(f"SET threads = {settings.threads:d}")
        yield ByHand(con, lake, out, settings)
