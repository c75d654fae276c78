"""Names and values as Spark's and Databricks' SQL spells them."""


def quoted(name: str) -> str:
    """``name`` as an identifier."""
    return "`" + name.replace("`", "``") + "`"


def literal(value: str | int | float) -> str:
    """A text or number as a literal on one line, which Spark reads as exactly that value."""
    if not isinstance(value, str):
        return repr(value)
    escaped = value.replace("\\", "\\\\").replace("'", "\\'").replace("\n", "\\n")
    # ${name} would be replaced by a setting before the SQL is parsed.
    return "'" + escaped.replace("${", "\\u0024{") + "'"
