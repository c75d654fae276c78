"""Traffic looks like traffic: sessions, a few busy users, slow outliers, unhappy ratings after slow pages."""

import numpy as np
import pyarrow as pa

from generators import pageviews, products, sessions, stars
from generators.world import World

BUSY = World(users=5_000, vip_users=0, pageviews_per_hour=50_000)


def views(world, count):
    return pa.Table.from_batches(pageviews.batches(world, 0, count))


def test_a_session_is_one_user_with_1_to_30_views_about_10_seconds_apart():
    rows = np.arange(100_000)
    number = sessions.session_of(BUSY, rows)
    user = sessions.user_of(BUSY, number)
    order = np.lexsort((rows, number))
    same = np.diff(number[order]) == 0
    assert (np.diff(user[order])[same] == 0).all()
    sizes = np.unique(number, return_counts=True)[1]
    assert sizes.min() == 1
    assert 25 < sizes.max() <= 30
    pauses = np.diff(pageviews.arrivals(BUSY, rows)[order])[same] / 1e6
    # The first hours are night, when everything is slower than on average.
    assert 8 < np.median(pauses) < 80


def test_a_few_users_make_most_of_the_traffic_and_their_ids_are_spread():
    user = pageviews.user_ids(BUSY, np.arange(300_000))
    counts = np.bincount(user, minlength=5_000)
    busiest = np.argsort(counts)[::-1][:1_000]
    assert counts[busiest].sum() > 0.7 * counts.sum()
    assert 2_000 < busiest.mean() < 3_000


def test_latency_is_normal_with_rare_slow_outliers():
    latency = views(BUSY, 200_000)["latency"].to_numpy()
    assert latency.min() >= 1
    assert latency.max() <= 5_000
    assert 160 < np.median(latency) < 240
    assert 35 < latency[latency < 500].std() < 65
    assert 0.005 < (latency >= 500).mean() < 0.05


def test_product_pages_in_uris_are_pages_of_existing_products():
    uris = [uri for uri in views(World(), 5_000)["uri"].to_pylist() if uri.startswith("/product/")]
    pages = {page for batch in products.batches(World(), 0, 200) for row in batch["pages"].to_pylist() for page in row}
    assert len(uris) > 2_000
    assert set(uris) <= pages


def test_event_ids_are_distinct_version_4_uuids():
    ids = views(World(), 50_000)["event_id"].to_pylist()
    assert len(set(ids)) == len(ids)
    assert all(len(event_id) == 36 and event_id[14] == "4" and event_id[19] in "89ab" for event_id in ids)


def test_clean_client_ips_are_addresses_or_null_and_never_empty():
    addresses = views(World(pageviews_per_hour=30_000), 30_000)["client_ip"]
    assert 0 < addresses.null_count < 600
    assert all(len(ip.split(".")) == 4 for ip in addresses.drop_null().to_pylist())


def test_event_times_are_up_to_two_seconds_before_arrival():
    rows = np.arange(50_000)
    delay = pageviews.arrivals(BUSY, rows) - pageviews.event_times(BUSY, rows)
    assert delay.min() >= 0
    assert 1_900_000 < delay.max() <= 2_000_000


def test_one_star_in_fifty_views_follows_the_end_of_a_session_of_the_same_user():
    rows = np.arange(10_000)
    rated = stars.pageview_rows(BUSY, rows)
    assert 0.9 < rated.max() / 500_000 < 1.1
    number = sessions.session_of(BUSY, rated)
    assert len(np.unique(number)) == len(rows)
    following = sessions.session_of(BUSY, rated + sessions.lanes(BUSY))
    assert (following != number).all()
    (ratings,) = stars.batches(BUSY, 0, 10_000)
    assert ratings["user_id"].to_pylist() == sessions.user_of(BUSY, number).tolist()
    after = (stars.arrivals(BUSY, rows) - pageviews.event_times(BUSY, rated)) / 1e6
    assert after.min() >= 10
    assert after.max() <= 600


def test_stars_are_low_after_slow_pages():
    given = np.concatenate([batch["stars"].to_numpy() for batch in stars.batches(BUSY, 0, 100_000)])
    slow = pageviews.latencies(BUSY, stars.pageview_rows(BUSY, np.arange(100_000))) > 1_000
    assert set(given.tolist()) == {1, 2, 3, 4, 5}
    assert given[~slow].mean() > 3.7
    assert (given[slow] <= 2).mean() > 0.7
