"""Films 1.0 are frozen.  What they look like, the fingerprint knows: tests/experiment/test_provenance.py."""

import pytest

from lumbo.errors import InputError
from lumbo.films.hospitals import FilmSet
from lumbo.films.hospitals import hospital as hospital_of_today
from lumbo.films_1 import hospitals


def test_the_specification_is_the_frozen_one():
    frozen = hospitals.frozen()
    assert frozen == {"version": "1.0", "specs": "ad31016a91bf9c62", "today": "ad31016a91bf9c62"}


def test_the_hospitals_are_the_six_of_the_experiment():
    assert list(hospitals.hospitals()) == ["aspen", "birch", "cedar", "dogwood", "elm", "fir"]
    assert [where.name for where in hospitals.participants()] == ["aspen", "birch", "cedar", "dogwood"]


@pytest.mark.parametrize("name", hospitals.hospitals())
def test_films_are_the_same_from_the_cache_and_no_head_is_hidden(name):
    """The first 64 come from one chunk, the others from the next."""
    where = hospitals.hospital(name)
    drawn = hospitals.pool(
        [hospitals.draw(where, "test", 0, chunk, 32, n=n) for chunk, n in ((0, 64), (1, 2))]
    )
    for _ in range(2):
        films = hospitals.film_set(where, "test", 0, 66, 32)
        assert type(films) is FilmSet and films == drawn
    assert films.hidden.dtype.kind == "i" and not films.hidden.any()


def test_a_hospital_of_other_films_is_refused():
    with pytest.raises(InputError, match="^where: "):
        hospitals.film_set(hospital_of_today("aspen"), "test", 0, 1, 32)
