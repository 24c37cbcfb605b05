"""Mixtures over several hidden variables: tables in, one reading, old trees unchanged."""

import copy
import pickle

import numpy as np
import pytest

from ident_theory import GaussianMixture
from ident_theory.errors import ModelError
from ident_theory.models.mixture import read_mixture

TABLE = [["1/8", "1/8", "1/4"], ["1/4", "1/8", "1/8"]]
FLAT = [x for row in TABLE for x in row]


def list_to(n: int) -> list[int]:
    return list(range(n))


def problems(*args, **kwargs) -> dict[str, str]:
    with pytest.raises(ModelError) as caught:
        GaussianMixture(*args, **kwargs)
    return {problem.path: str(problem) for problem in caught.value.problems}


def test_a_table_and_flat_weights_with_states_are_one_prior():
    means = np.arange(12).reshape(2, 3, 2)
    spreads = np.arange(1, 13).reshape(2, 3, 2)
    table = GaussianMixture(TABLE, means, spreads)
    assert table.states == (2, 3)
    assert table.neighbourhoods is None
    assert table.means_exact.shape == (6, 2)
    assert table.covariances_exact.shape == (6, 2, 2)
    for other in (GaussianMixture(FLAT, means.reshape(6, 2), spreads.reshape(6, 2), states=(2, 3)),
                  GaussianMixture(FLAT, means, spreads.reshape(6, 2), states=[2, 3]),
                  GaussianMixture(TABLE, means.reshape(6, 2),
                                  [[np.diag(s).tolist() for s in row] for row in spreads], states=np.array([2, 3]))):
        assert other == table
        assert hash(other) == hash(table)
    assert table.weights_exact.tolist() == GaussianMixture(FLAT, means.reshape(6, 2), spreads.reshape(6, 2)
                                                           ).weights_exact.tolist()


def test_one_latent_takes_tables_of_means_and_variances():
    table = GaussianMixture(TABLE, [[0, 1, 2], [3, 4, 5]], [[1, 1, 2], [2, 3, 3]])
    assert table == GaussianMixture(FLAT, list_to(6), [1, 1, 2, 2, 3, 3], states=(2, 3))
    assert table == GaussianMixture(TABLE, [[0], [1], [2], [3], [4], [5]], [[[1]], [[1]], [[2]], [[2]], [[3]], [[3]]])


@pytest.mark.parametrize("states", [(2, 1), (1, 2), (1, 1, 2), (2, 1, 1)])
def test_shapes_that_can_be_read_twice_hold_the_same_numbers(states):
    weights = np.full(states, 0.5)
    by_axes = GaussianMixture(weights, np.arange(2).reshape(states), np.ones(states))
    by_rows = GaussianMixture([0.5, 0.5], [[0], [1]], [[1], [1]], states=states)
    assert by_axes == by_rows


def test_old_trees_and_hashes_stay():
    plain = GaussianMixture(["1/2", "1/2"], [0, 1], [1, 1])
    assert set(plain.plain()) == {"weights", "means", "covariances"}
    assert plain == GaussianMixture(["1/2", "1/2"], [0, 1], [1, 1], states=[2])
    assert plain.states == (2,)
    assert "states" not in repr(plain)
    declared = GaussianMixture(["1/2", "1/2"], [0, 1], [1, 1], neighbourhoods=[[0]])
    assert declared != plain
    assert declared.plain()["neighbourhoods"] == [[0]]
    assert "states" not in declared.plain()
    assert "neighbourhoods=[[0]]" in repr(declared)


def test_trees_copies_and_reduction():
    table = GaussianMixture([["1/4", "1/4"], ["1/2", 0]], np.zeros((2, 2, 2)), np.ones((2, 2, 2)),
                            neighbourhoods=[[1, 0], []])
    assert table.plain()["states"] == [2, 2]
    assert table.plain()["neighbourhoods"] == [[0, 1], []]
    assert GaussianMixture(**table.plain()) == table
    assert pickle.loads(pickle.dumps(table)) == copy.deepcopy(table) == table
    assert table != GaussianMixture(["1/4", "1/4", "1/2", 0], np.zeros((4, 2)), np.ones((4, 2)))
    assert table.reduced() == GaussianMixture([1], [[0, 0]], [[1, 1]])
    assert table.reduced().states == (1,)
    assert "states=[2, 2]" in repr(table)


@pytest.mark.parametrize(("kwargs", "path"), [
    ({"states": [2, 2]}, "states"),
    ({"states": [3, 0]}, "states[1]"),
    ({"states": [2, True]}, "states[1]"),
    ({"states": [2, 1.5]}, "states[1]"),
    ({"states": 6}, "states"),
    ({"states": []}, "states"),
    ({"neighbourhoods": [[0], [0]]}, "neighbourhoods"),
    ({"states": [2, 3], "neighbourhoods": [[0]]}, "neighbourhoods"),
    ({"states": [2, 3], "neighbourhoods": [[0], [1]]}, "neighbourhoods[1][0]"),
    ({"states": [2, 3], "neighbourhoods": [[0, 0], []]}, "neighbourhoods[0]"),
    ({"states": [2, 3], "neighbourhoods": [0, []]}, "neighbourhoods[0]"),
    ({"states": [2, 3], "neighbourhoods": [["0"], []]}, "neighbourhoods[0][0]"),
    ({"neighbourhoods": 3}, "neighbourhoods"),
])
def test_mistakes_are_named(kwargs, path):
    found = problems(FLAT, list_to(6), [1] * 6, **kwargs)
    assert set(found) == {path}


def test_mistakes_in_tables_are_addressed_as_written():
    found = problems([["1/2", "-1/4"], ["1/2", "1/4"]], [[0, 1], [2, 3]], [[1, 1], [-1, 1]])
    assert set(found) == {"weights[0][1]", "covariances[1][0]"}
    assert set(problems(TABLE, list_to(6), [1] * 6, states=[3, 2])) == {"states"}
    assert "6 rows" in problems(TABLE, list_to(5), [1] * 6)["means"]
    assert "covariances" in problems(TABLE, list_to(6), np.ones((2, 3, 1, 1, 1)))


def test_the_reader_returns_all_parts_and_collects():
    found: list = []
    parts = read_mixture(TABLE, list_to(6), [1] * 6, "prior", found, None, [[0], []])
    assert parts is not None
    assert parts[3:] == ((), (2, 3), ((0,), ()))
    assert not found
    assert read_mixture(None, None, None, "prior", found, [2, "x"], [[0]]) is None
    assert {"prior.weights", "prior.means", "prior.covariances", "prior.states[1]", "prior.neighbourhoods"} \
        == {problem.path for problem in found}
