"""Products of the shop. Row i is the product with id i; a few products are far more popular than the rest."""

from collections.abc import Iterator
from functools import lru_cache
from itertools import permutations

import numpy as np
import pyarrow as pa

from generators.columns import chunks, decimals, join, required, take, text_of, triples
from generators.counter import Ints, below, few_are_popular, permute, stream, uniform
from generators.pools import czech
from generators.world import World

NAME = "products"
SCHEMA = pa.schema(
    [
        required("id", pa.int64()),
        required("name", pa.string()),
        required("description", pa.string()),
        required("category", pa.string()),
        required("price", pa.decimal128(10, 2)),
        required("pages", pa.list_(pa.string())),
    ]
)

_CATEGORIES = pa.array(
    ["Elektronika", "Knihy", "Domácnost", "Zahrada", "Hračky", "Sport", "Oblečení", "Potraviny", "Drogerie", "Auto"]
)
_KINDS = pa.array(["Lampa", "Batoh", "Hrnek", "Kolo", "Židle", "Stan", "Kniha", "Mikina", "Robot", "Kytara", "Deka"])
_PAGES = pa.array(["detail", "gallery", "reviews", "parameters", "questions", "accessories", "video", "delivery"])


def batches(world: World, start_row: int, stop_row: int, batch_rows: int = 65_536) -> Iterator[pa.RecordBatch]:
    """The clean products start_row..stop_row-1."""
    for rows in chunks(start_row, stop_row, batch_rows):
        yield rows_at(world, rows)


def rows_at(world: World, rows: Ints) -> pa.RecordBatch:
    """The clean products with these ids; `price` in crowns, above 0; `pages` are three different URIs."""

    def pick(column: str, pool: pa.Array) -> pa.Array:
        return take(pool, below(stream(world.seed, NAME, column), rows, len(pool)))

    ids = pa.array(rows)
    columns = [
        ids,
        join(pick("kind", _KINDS), " ", pick("word", czech().words), " ", text_of(rows)),
        pick("description", czech().sentences),
        pick("category", _CATEGORIES),
        decimals(price_hundredths(world, rows), 10),
        triples(*(page_uris(world, rows, np.full(len(rows), place)) for place in range(3))),
    ]
    return pa.record_batch(columns, schema=SCHEMA)


def keys(world: World, rows: Ints) -> pa.Array:
    """The ids as text."""
    return text_of(rows)


def price_hundredths(world: World, ids: Ints) -> Ints:
    """Prices of products in hundredths of a crown: 9.90 to 5,009.90, most of them low."""
    u = uniform(stream(world.seed, NAME, "price"), ids)
    return 990 + (u * u * u * 500_000).astype(np.int64)


def page_uris(world: World, ids: Ints, places: Ints) -> pa.Array:
    """The URI at place 0, 1 or 2 of each product's `pages`."""
    choices = _page_choices()
    chosen = below(stream(world.seed, NAME, "pages"), ids, len(choices))
    page = take(_PAGES, choices[chosen, places])
    return join("/product/", text_of(ids), "/", page)


def popular(world: World, key: np.uint64, index: Ints) -> Ints:
    """A product id for every counter of a stream, popular ones often; every data set agrees on which are popular."""
    rank = few_are_popular(key, index, world.products, knee=0.1)
    return permute(stream(world.seed, NAME, "popularity"), rank, world.products)


@lru_cache(maxsize=1)
def _page_choices() -> Ints:
    return np.array(list(permutations(range(len(_PAGES)), 3)), dtype=np.int64)
