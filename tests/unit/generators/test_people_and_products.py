"""Users are believable Czech people; VIPs and products fit together with them."""

from datetime import date

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from generators import products, users, vip_users
from generators.pools import czech
from generators.world import World


def born(birth_number: str) -> date:
    year, month, day = int(birth_number[:2]), int(birth_number[2:4]), int(birth_number[4:6])
    return date(year + (1900 if year >= 54 else 2000), month - 50 if month > 50 else month, day)


@given(seed=st.integers(), start=st.integers(0, 10**9), epoch_year=st.integers(2000, 2053))
@settings(max_examples=40, deadline=None)
def test_birth_numbers_are_valid_and_people_are_5_to_72_years_old(seed, start, epoch_year):
    epoch = World().epoch.replace(year=epoch_year, month=5, day=31)
    (people,) = users.batches(World(seed=seed, epoch=epoch), start, start + 100)
    for number in people["birth_number"].to_pylist():
        assert len(number) == 11
        assert number[6] == "/"
        assert int(number.replace("/", "")) % 11 == 0
        birthday = born(number)
        age = epoch.year - birthday.year - ((epoch.month, epoch.day) < (birthday.month, birthday.day))
        assert birthday >= date(1954, 1, 1)
        assert 5 <= age <= 72


def test_names_fit_the_sex_in_the_birth_number():
    (people,) = users.batches(World(), 0, 2_000)
    men, women = set(czech().male_first_names.to_pylist()), set(czech().female_first_names.to_pylist())
    share = 0
    for name, number in zip(people["name"].to_pylist(), people["birth_number"].to_pylist(), strict=True):
        is_woman = int(number[2:4]) > 50
        assert name.split(" ")[0] in (women if is_woman else men)
        share += is_woman
    assert 900 < share < 1_100


def test_account_handles_are_unique_and_not_made_from_names():
    people = pa.Table.from_batches(users.batches(World(), 0, 20_000))
    handles = people["user_name"].to_pylist()
    assert len(set(handles)) == len(handles)
    last_names = [name.split(" ")[-1].lower() for name in people["name"].to_pylist()]
    assert not any(name in handle for name, handle in zip(last_names, handles, strict=True) if len(name) > 4)


def test_every_user_field_is_filled_and_jobs_are_three():
    (people,) = users.batches(World(), 0, 1_000)
    for person in people.to_pylist():
        assert all(person[field] not in ("", None) for field in users.SCHEMA.names)
        assert len(person["jobs"]) == 3
        assert person["phone_number"].startswith("+420")
        assert len(person["phone_number"]) == 13


@pytest.mark.parametrize(("user_count", "vips"), [(1, 1), (7, 7), (1_000, 50), (100_000, 1_000)])
def test_vips_are_distinct_existing_users(user_count, vips):
    world = World(users=user_count, vip_users=vips)
    ids = pa.Table.from_batches(vip_users.batches(world, 0, vips))["id"].to_pylist()
    assert len(set(ids)) == vips
    assert min(ids) >= 0
    assert max(ids) < user_count


def test_products_have_positive_prices_and_three_pages_of_their_own():
    (shelf,) = products.batches(World(products=2_000), 0, 2_000)
    for product in shelf.to_pylist():
        assert product["price"] > 0
        assert len(set(product["pages"])) == 3
        assert all(page.startswith(f"/product/{product['id']}/") for page in product["pages"])
