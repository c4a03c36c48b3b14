"""`simplify`: which samples are kept, how they are labeled, and its errors."""

import numpy as np
import pytest

from trainwell.recipes.search.simplify import simplify

Y = np.repeat([3, 5, 7, 9], [10, 20, 30, 40])
X = np.stack([np.arange(100), Y], axis=1).astype(np.float32)


def test_balanced_relabeled_and_paired():
    x, y = simplify(X, Y, classes=[9, 5], samples=30)
    assert x.shape == (30, 2) and x.dtype == np.float32
    assert y.shape == (30,) and y.dtype == np.int64
    np.testing.assert_array_equal(np.bincount(y), [15, 15])
    # Label 0 is the first class named, 9.
    np.testing.assert_array_equal(x[:, 1], np.where(y == 0, 9, 5))
    assert len(set(x[:, 0])) == 30


def test_a_rest_goes_to_the_first_classes():
    _, y = simplify(X, Y, classes=[3, 5, 7], samples=29)
    np.testing.assert_array_equal(np.bincount(y), [10, 10, 9])


def test_the_seed_decides():
    first, again = (simplify(X, Y, [7, 9], 20, seed=3) for _ in range(2))
    other = simplify(X, Y, [7, 9], 20, seed=4)
    np.testing.assert_array_equal(first[0], again[0])
    np.testing.assert_array_equal(first[1], again[1])
    assert set(first[0][:, 0]) != set(other[0][:, 0])


def test_every_sample_is_equally_likely():
    seeds, taken = 400, 5
    counts = np.zeros(100)
    for seed in range(seeds):
        counts[simplify(X, Y, [3, 5], 2 * taken, seed=seed)[0][:, 0].astype(int)] += 1
    # 5 of 10 without replacement: chi-squared with 9 degrees of freedom, scaled by the finite
    # population; 27.9 is exceeded with probability 0.001.
    expected = seeds * taken / 10
    statistic = ((counts[:10] - expected) ** 2 / expected).sum() * (10 - 1) / (10 - taken)
    assert statistic < 27.9
    assert counts[30:].sum() == 0


def test_labels_are_mixed():
    _, y = simplify(X, Y, [5, 7], 40)
    assert 10 < np.count_nonzero(np.diff(y)) < 30  # 19.5 expected, deviation 3.1


def test_a_column_and_strings_and_images():
    images, names = np.zeros((100, 8, 8)), np.array(["a", "b"])[Y % 4 // 2]
    x, y = simplify(images, Y[:, None], [7, 9], 6)
    assert x.shape == (6, 8, 8)
    _, y = simplify(X, names, ["b", "a"], 6)
    np.testing.assert_array_equal(np.bincount(y), [3, 3])
    _, y = simplify(X.tolist(), Y.tolist(), np.array([7, 9]), np.int64(6))
    assert len(y) == 6


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"classes": [3, 4]}, r"at least two labels of `y`.*classes=\[3, 4\].*holds 3, 5, 7, 9"),
        ({"classes": [3]}, "at least two labels"),
        ({"classes": [3, 3]}, "each once"),
        ({"classes": "35"}, "sequence of labels"),
        ({"classes": 2}, "sequence of labels"),
        ({"samples": 30}, "Class 3 has 10 samples, fewer than the 15.*at most 20"),
        ({"samples": 1}, "at least one for each of the 2 classes.*samples=1"),
        ({"samples": 2.5}, "samples=2.5"),
        ({"y": Y[:50]}, r"a row for each sample.*\(100, 2\), y of shape \(50,\)"),
        ({"y": np.eye(10)[Y]}, r"one-hot rows pass y.argmax"),
        ({"seed": -1}, "seed=-1"),
        ({"seed": None}, "seed=None"),
    ],
)
def test_errors(changes, message):
    arguments = {"x": X, "y": Y, "classes": [3, 5], "samples": 10, **changes}
    with pytest.raises(ValueError, match=message):
        simplify(**arguments)
