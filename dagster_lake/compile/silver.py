"""Bronze to silver: typed rows, the rules that quarantine, and which of several equal rows wins.

Every SELECT starts from ``_read``: the rows of a relation like bronze with, for each property, its trimmed text and
its typed value beside it. Duplicates are looked for among valid rows only, so that a bad copy never hides a good
one; the engine finds them first and offers their positions as the relation ``losers``.
"""

from collections.abc import Collection
from dataclasses import dataclass

from dagster_lake.compile.bounds import above_maximum, below_minimum, too_long, too_short
from dagster_lake.compile.derive import derived
from dagster_lake.compile.dialect import Dialect
from dagster_lake.contract.columns import (
    RESCUED,
    SOURCE_FILE,
    bronze_schema,
    partition_field,
    position_fields,
    quarantine_schema,
    silver_schema,
)
from dagster_lake.contract.model import Contract, DatabaseSource, EventHubSource, Property
from dagster_lake.lake_hour import HourRange

LOOK_BACK_HOURS = 24


@dataclass(frozen=True)
class Dedupe:
    """Which rows are the same, and which of them wins: the earliest or the latest by position.

    An event may be sent again hours later, so events look back ``look_back`` lake hours; other rows do not.
    """

    keys: tuple[Property, ...]
    earliest_wins: bool
    look_back: int


def dedupe_of(contract: Contract) -> Dedupe:
    """Events: by key, the earliest wins, looking back 24 hours. Changing rows: by key and time of writing, the latest
    wins. Snapshots: by key, the latest wins."""
    if isinstance(contract.source, EventHubSource):
        return Dedupe(contract.keys, True, LOOK_BACK_HOURS)
    if isinstance(contract.source, DatabaseSource):
        updated_at = contract.property(contract.source.updated_at)
        return Dedupe((*contract.keys, updated_at), False, 0)
    return Dedupe(contract.keys, False, 0)


def look_back(contract: Contract, partitions: Collection[str]) -> list[str]:
    """The partitions before and between ``partitions`` that may hold an earlier copy of one of their rows."""
    hours = dedupe_of(contract).look_back
    if not hours:
        return []
    wanted = {key for p in partitions for key in HourRange.of(p).with_look_back(hours).keys}
    return sorted(wanted - set(partitions))


def keys_select(contract: Contract, dialect: Dialect, relation: str) -> str:
    """The typed keys and the partition of each row of ``relation``, a relation like ``bronze``."""
    keys = dedupe_of(contract).keys
    return (
        f"SELECT {_named_values(keys, dialect)}, {partition_field(contract).name} "
        f"FROM {_read(contract, dialect, relation, keys)}"
    )


def keys_before_select(contract: Contract, dialect: Dialect) -> str:
    """The keys of ``look_back``, rows like bronze's of the hours before, that also occur in ``keys_here``."""
    return (
        f"SELECT * FROM ({keys_select(contract, dialect, 'look_back')}) "
        f"SEMI JOIN keys_here USING ({_key_names(contract, dialect)})"
    )


def suspects_select(contract: Contract, dialect: Dialect) -> str:
    """The keys that occur more than once in ``keys_here`` and ``keys_before``."""
    keys = _key_names(contract, dialect)
    return (
        f"SELECT {keys} FROM (SELECT {keys} FROM keys_here UNION ALL SELECT {keys} FROM keys_before) "
        f"GROUP BY {keys} HAVING count(*) > 1"
    )


def suspect_partitions_select(contract: Contract, dialect: Dialect) -> str:
    """The partitions of ``keys_here`` and ``keys_before`` in which a key of ``suspects`` occurs."""
    return (
        f"SELECT DISTINCT {partition_field(contract).name} "
        "FROM (SELECT * FROM keys_here UNION ALL SELECT * FROM keys_before) "
        f"SEMI JOIN suspects USING ({_key_names(contract, dialect)})"
    )


def losers_select(contract: Contract, dialect: Dialect) -> str:
    """The position and partition of each valid row that loses to another row of the same key, and whether it is
    ``_conflicting``: other in content than the row that counts.

    A row loses to the row next to it in position: the previous one where the earliest wins, the next one where the
    latest does. Where rows look back, that row must be of an hour within the look-back; elsewhere, of the same
    partition. Reads ``reach`` (rows like ``bronze``'s, the look-back included) and ``suspects`` (keys).
    """
    dedupe = dedupe_of(contract)
    partition = partition_field(contract).name
    position = [f.name for f in position_fields(contract)]
    keys = [dialect.identifier(p.name) for p in dedupe.keys]
    within = keys if dedupe.look_back else [partition, *keys]
    order = ", ".join(c if dedupe.earliest_wins else f"{c} DESC" for c in position)
    near = f"{dialect.hours_between('_rival', partition)} <= {dedupe.look_back}" if dedupe.look_back else "true"
    others = ", ".join(c for c in [*position, partition] if c not in {p.name for p in dedupe.keys})
    # Suspects are few: they are picked first, so that the rules are tried on them alone.
    suspected = (
        f"(SELECT {', '.join(dialect.identifier(n) for n in bronze_schema(contract).names)} "
        f"FROM {_read(contract, dialect, 'reach', dedupe.keys)} SEMI JOIN suspects AS _s ON "
        f"{' AND '.join(f'{_value(p, dialect)} = _s.{dialect.identifier(p.name)}' for p in dedupe.keys)})"
    )
    payload = dialect.record([*(_value(p, dialect) for p in contract.source_properties), RESCUED.name])
    valid = (
        f"SELECT {_named_values(dedupe.keys, dialect)}, {others}, {payload} AS _payload "
        f"FROM {_read(contract, dialect, suspected)} WHERE NOT ({_broken(contract, dialect)})"
    )
    return (
        f"SELECT {', '.join(position)}, {partition}, _payload IS DISTINCT FROM _counts AS _conflicting FROM ("
        f"SELECT *, lag({partition}) OVER (PARTITION BY {', '.join(within)} ORDER BY {order}) AS _rival, "
        f"{_payload_that_counts(contract, dialect)} AS _counts FROM ({valid})"
        f") WHERE _rival IS NOT NULL AND {near}"
    )


def _payload_that_counts(contract: Contract, dialect: Dialect) -> str:
    """What a copy's ``_payload`` is compared with: that of the row that wins.

    Of an event, that is the earliest copy in the hours that are looked back on, so that what becomes of a copy follows
    from them alone. Of a snapshot, the last row of the same file: that a newer file says something else is no conflict.
    """
    dedupe, partition = dedupe_of(contract), partition_field(contract).name
    position = [f.name for f in position_fields(contract)]
    keys = [dialect.identifier(p.name) for p in dedupe.keys]
    if dedupe.look_back:
        hour = dialect.hours_between(dialect.literal("1970-01-01T00"), partition)
        return (
            f"{dialect.least_by('_payload', dialect.record(position))} OVER (PARTITION BY {', '.join(keys)} "
            f"ORDER BY {hour} RANGE BETWEEN {dedupe.look_back} PRECEDING AND CURRENT ROW)"
        )
    within = [partition, *keys, *([SOURCE_FILE.name] if contract.cadence == "snapshot" else [])]
    latest_first = ", ".join(f"{c} DESC" for c in position)
    return f"first_value(_payload) OVER (PARTITION BY {', '.join(within)} ORDER BY {latest_first})"


def valid_keys_select(contract: Contract, dialect: Dialect, relation: str) -> str:
    """The typed keys, the position and the partition of each row of ``relation``, rows like bronze's, that is valid."""
    position = [f.name for f in position_fields(contract)]
    return (
        f"SELECT {_named_values(dedupe_of(contract).keys, dialect)}, {', '.join(position)}, "
        f"{partition_field(contract).name} FROM {_read(contract, dialect, relation)} "
        f"WHERE NOT ({_broken(contract, dialect)})"
    )


def placed_keys_select(contract: Contract, dialect: Dialect, relation: str) -> str:
    """As ``valid_keys_select``, of every row, valid or not; what a row does not say, or not in its type, is null."""
    keys = dedupe_of(contract).keys
    position = [f.name for f in position_fields(contract)]
    return (
        f"SELECT {_named_values(keys, dialect)}, {', '.join(position)}, {partition_field(contract).name} "
        f"FROM {_read(contract, dialect, relation, keys)}"
    )


def silver_select(contract: Contract, dialect: Dialect) -> str:
    """The silver rows: valid, typed, masked, and not among ``losers``."""
    values = {p.name: _published(p, contract, dialect) for p in contract.properties}
    columns = [f"{values[n]} AS {dialect.identifier(n)}" if n in values else n for n in silver_schema(contract).names]
    position = ", ".join(f.name for f in position_fields(contract))
    return (
        f"SELECT {', '.join(columns)} FROM {_read(contract, dialect, 'bronze')} "
        f"ANTI JOIN losers USING ({position}) WHERE NOT ({_broken(contract, dialect)})"
    )


def quarantine_select(contract: Contract, dialect: Dialect) -> str:
    """The rows that break a rule, as bronze holds them, with all their reasons; and those of ``losers`` that differ
    from the row that counts."""
    rules = [*_rules(contract, dialect), (conflict_reason(contract), "_conflicting")]
    reasons = [f"CASE WHEN {condition} THEN {dialect.literal(code)} END" for code, condition in rules]
    columns = [
        f"{dialect.list_of(reasons)} AS _reasons" if n == "_reasons" else dialect.identifier(n)
        for n in quarantine_schema(contract).names
    ]
    position = ", ".join(f.name for f in position_fields(contract))
    return (
        f"SELECT {', '.join(columns)} FROM {_read(contract, dialect, 'bronze')} "
        f"LEFT JOIN (SELECT {position}, _conflicting FROM losers WHERE _conflicting) AS _l USING ({position}) "
        f"WHERE {_broken(contract, dialect)} OR coalesce(_conflicting, false)"
    )


def duplicates_select(contract: Contract) -> str:
    """How many of ``losers`` are plain copies, by partition: the others are in quarantine."""
    partition = partition_field(contract).name
    return f"SELECT {partition}, count(*) FROM losers WHERE NOT _conflicting GROUP BY {partition}"


def conflict_reason(contract: Contract) -> str:
    """Why a copy that says something else than the row that counts is in quarantine."""
    return f"{'+'.join(p.name for p in contract.keys)}:conflict"


def uses_masking_key(contract: Contract) -> bool:
    """Whether silver's SELECT binds the masking key's pads and id."""
    return any(p.masking == "hmac" for p in contract.properties)


def _read(contract: Contract, dialect: Dialect, relation: str, properties: tuple[Property, ...] | None = None) -> str:
    """``relation`` with ``_text of x`` and ``_value of x`` beside each property x (all that the source delivers); with
    all of them, whether the line ``_is malformed``, too."""
    texts, values = [], []
    if properties is None and not contract.typed_source:
        texts.append(
            f"({RESCUED.name} IS NOT NULL AND NOT {dialect.is_json_object(RESCUED.name)}) AS {_malformed(dialect)}"
        )
    if properties is None and contract.typed_source:
        # Landing has put aside what did not fit its column's type, by the column's name.
        names = [p.name for p in contract.source_properties]
        misfits = dialect.named("_document", dialect.json_object(RESCUED.name), dialect.json_texts("_document", names))
        texts.append(f"CASE WHEN {RESCUED.name} IS NOT NULL THEN {misfits} END AS {_misfits(dialect)}")
    for prop in properties or contract.source_properties:
        column = dialect.identifier(prop.name)
        if not contract.typed_source:
            texts.append(f"{dialect.trimmed(column)} AS {_text(prop, dialect)}")
            values.append(f"{dialect.try_cast(_text(prop, dialect), prop)} AS {_value(prop, dialect)}")
        else:
            text = dialect.trimmed(column) if prop.logical_type == "string" else _given(prop, contract, dialect)
            texts.append(f"{text} AS {_text(prop, dialect)}")
            values.append(f"{_text(prop, dialect)} AS {_value(prop, dialect)}")
    return f"(SELECT *, {', '.join(values)} FROM (SELECT *, {', '.join(texts)} FROM {relation}))"


def _broken(contract: Contract, dialect: Dialect) -> str:
    return " OR ".join(f"coalesce({condition}, false)" for _, condition in _rules(contract, dialect)) or "false"


def _rules(contract: Contract, dialect: Dialect) -> list[tuple[str, str]]:
    """(reason code, condition) of every rule; a condition that is null does not hold."""
    rules = [] if contract.typed_source else [("malformed", _malformed(dialect))]
    for prop in contract.source_properties:
        for rule, condition in _property_rules(prop, contract, dialect):
            rules.append((f"{prop.name}:{rule}", condition))
    return rules


def _property_rules(prop: Property, contract: Contract, dialect: Dialect) -> list[tuple[str, str]]:
    text, value = _text(prop, dialect), _value(prop, dialect)
    rules = []
    misfit = dialect.item(_misfits(dialect), contract.source_properties.index(prop))
    if prop.required:
        # A malformed line has no fields at all, and a value of another type is there: that it is missing would only
        # repeat it.
        is_there = f"{misfit} IS NOT NULL" if contract.typed_source else _malformed(dialect)
        rules.append(("required", f"{text} IS NULL AND NOT {is_there}"))
    if contract.typed_source:
        rules.append(("type", f"{misfit} IS NOT NULL"))
    elif prop.logical_type != "string":
        rules.append(("type", f"{text} IS NOT NULL AND {value} IS NULL"))
    if prop.minimum is not None:
        rules.append(("minimum", below_minimum(value, prop, dialect)))
    if prop.maximum is not None:
        rules.append(("maximum", above_maximum(value, prop, dialect)))
    if prop.min_length is not None:
        rules.append(("minLength", too_short(value, prop)))
    if prop.max_length is not None:
        rules.append(("maxLength", too_long(value, prop)))
    if prop.pattern is not None:
        rules.append(("pattern", f"NOT {dialect.contains(value, prop.pattern)}"))
    if prop.allowed:
        rules.append(("enum", f"{value} NOT IN ({dialect.texts(prop.allowed)})"))
    return rules


def _published(prop: Property, contract: Contract, dialect: Dialect) -> str:
    """What silver holds: derived from the clear value, or masked, or the typed value itself."""
    if prop.derivation is not None and prop.derived_from is not None:
        origin = _value(contract.property(prop.derived_from), dialect)
        return derived(prop.derivation, origin, partition_field(contract).name, dialect)
    value = _value(prop, dialect)
    if prop.masking == "hmac":
        return f"{dialect.parameter('key_id')} || ':' || {dialect.hmac_sha256(value)}"
    if prop.masking == "redact":
        return f"CASE WHEN {value} IS NOT NULL THEN '***' END"
    if prop.masking == "partial":
        return f"left({value}, 1) || '***'"
    return value


def _text(prop: Property, dialect: Dialect) -> str:
    return dialect.identifier(f"_text of {prop.name}")


def _given(prop: Property, contract: Contract, dialect: Dialect) -> str:
    """A typed column; of when a row was written, the first of the columns that say so."""
    source = contract.source
    if isinstance(source, DatabaseSource) and source.fallback and prop.name == source.updated_at:
        return f"coalesce({', '.join(dialect.identifier(name) for name in (source.updated_at, *source.fallback))})"
    return dialect.identifier(prop.name)


def _misfits(dialect: Dialect) -> str:
    return dialect.identifier("_misfits")


def _malformed(dialect: Dialect) -> str:
    return dialect.identifier("_is malformed")


def _value(prop: Property, dialect: Dialect) -> str:
    return dialect.identifier(f"_value of {prop.name}")


def _key_names(contract: Contract, dialect: Dialect) -> str:
    return ", ".join(dialect.identifier(p.name) for p in dedupe_of(contract).keys)


def _named_values(properties: tuple[Property, ...], dialect: Dialect) -> str:
    return ", ".join(f"{_value(p, dialect)} AS {dialect.identifier(p.name)}" for p in properties)
