"""The pure parts of `benchmarks/evidence`, and that its stacked step is Keras' own."""

import importlib
import sys
from pathlib import Path

import keras
import numpy as np
import pytest

FOLDER = Path(__file__).parents[1] / "benchmarks" / "evidence"


@pytest.fixture(scope="module")
def evidence():
    """Imports modules of the benchmark, which are none of a package, whatever has their names."""
    names = {file.stem for file in FOLDER.glob("*.py")}
    others = {name: sys.modules.pop(name) for name in names & set(sys.modules)}
    sys.path.insert(0, str(FOLDER))
    yield importlib.import_module
    sys.path.remove(str(FOLDER))
    for name in names:
        sys.modules.pop(name, None)
    sys.modules.update(others)


def test_the_interval_of_four_differences(evidence):
    # Deviation sqrt((9 + 1 + 1 + 9) / 3) = 2.58199, of the mean 1.29099; t of 3: 3.1824.
    found = evidence("verdicts").interval([1.0, 3.0, 5.0, 7.0])
    assert found.mean == 4.0
    assert found.low == pytest.approx(4 - 3.1824 * 1.29099445)
    assert found.high == pytest.approx(4 + 3.1824 * 1.29099445)


def test_ten_seeds_have_nine_degrees_of_freedom(evidence):
    # Five of 0 and five of 2: deviation sqrt(10 / 9), of the mean 1 / 3.
    found = evidence("verdicts").interval([0.0, 2.0] * 5)
    assert found.high - found.mean == pytest.approx(2.2622 / 3)


def test_equal_arms_have_an_interval_of_no_width(evidence):
    verdicts = evidence("verdicts")
    found = verdicts.interval([0.0] * 10)
    assert found == (0.0, 0.0, 0.0)
    assert found.counts(0.2) == verdicts.NEITHER


def test_what_counts(evidence):
    verdicts = evidence("verdicts")
    interval = verdicts.Interval
    assert interval(1.0, 0.1, 1.9).counts(0.2) == verdicts.FOR
    assert interval(1.0, -0.1, 2.1).counts(0.2) == verdicts.NEITHER  # may be 0
    assert interval(0.1, 0.05, 0.15).counts(0.2) == verdicts.NEITHER  # too small to count
    assert interval(-1.0, -1.9, -0.1).counts(0.2) == verdicts.AGAINST
    assert interval(-0.2, -0.45, 0.05).counts_as_good(0.5) == verdicts.FOR
    assert interval(-0.2, -0.55, 0.15).counts_as_good(0.5) == verdicts.NEITHER
    assert interval(-2.0, -3.0, -1.0).counts_as_good(0.5) == verdicts.AGAINST


@pytest.mark.parametrize(
    ("counts", "told", "kind"),
    [
        ("for for", "holds", "holds"),
        ("for neither", "holds only on a", "holds only on some"),
        ("neither neither", "does not hold", "does not hold"),
        ("neither against", "does not hold; the opposite holds on b", "the opposite holds"),
        ("for against", "holds only on a; the opposite holds on b", "mixed"),
        ("against against", "does not hold; the opposite holds on a and b", "the opposite holds"),
    ],
)
def test_verdicts(evidence, counts, told, kind):
    verdicts = evidence("verdicts")
    by_data = dict(zip("ab", counts.split(), strict=True))
    assert verdicts.verdict(by_data) == told
    assert verdicts.kind(by_data) == kind


def test_each_arm_is_judged_at_the_rate_that_validation_chooses(evidence):
    effects, claims = evidence("effects"), evidence("claims")
    claim = next(one for one in claims.CLAIMS if one.name == "Dropout")
    a = _results(validation=[80, 90, 85, 0, 0], test=[99, 91, 98, 0, 0])
    b = _results(validation=[80, 81, 85, 0, 0], test=[99, 98, 90, 0, 0])
    found = effects.effect(claim, a, b)
    assert found.interval.mean == pytest.approx(1.0)  # 91 - 90, not 99 - 99
    assert found.chosen == ((0.03, 0.0), (0.1, 0.0))
    assert found.edges == (False, False)
    assert found.counts == "for"


def test_level_validation_accuracies_are_told_apart_by_the_loss(evidence):
    results = _results(validation=[90, 90, 90, 0, 0], test=[1, 2, 3, 0, 0])
    results["validation_loss"] = [[-1.0], [-3.0], [-2.0], [0.0], [0.0]]
    assert evidence("effects").best_of(results, "validation_accuracy") == 1


def test_less_training_loss_speaks_for_speed(evidence):
    effects, claims = evidence("effects"), evidence("claims")
    claim = next(one for one in claims.CLAIMS if one.name == "Momentum")
    same = _results(validation=[1, 2, 3, 4, 5, 0], test=[10, 20, 30, 40, 50, 60])
    a = same | {"speed": [[-1.0, -1.2] * 5] + [[0.0] * 10] * 5}
    b = same | {"speed": [[-0.5, -0.6] * 5] + [[0.0] * 10] * 5}
    found = effects.effect(claim, a, b)
    assert found.interval.mean == pytest.approx(0.55)
    assert found.edges == (True, True)
    assert found.beside == (50.0, 50.0)


def test_overlapping_splits_widen_the_interval(evidence):
    effects, claims = evidence("effects"), evidence("claims")
    claim = next(one for one in claims.CLAIMS if one.name == "Dropout")
    better = [90.0, 94.0] * 5  # than 90: by 2, deviation 2.108, interval 2 +- 1.508
    same = _results(validation=[90, 0, 0, 0, 0], test=[90, 0, 0, 0, 0])
    found = effects.effect(claim, same | {"test_accuracy": [better] * 5}, same)
    assert (found.interval.mean, found.counts) == (2.0, "for")
    assert found.interval.widened(2).low == pytest.approx(2 - 2 * 2.2622 * 2.108185 / 10**0.5)
    assert not effects.is_firm(claim, "wine", found)  # 2 - 2.49 * 1.508 < 0


def test_the_threshold_is_the_last_rate_before_the_first_rise(evidence):
    falls = np.array([[1, 1, 0, 1], [1, 0, 0, 1], [0, 1, 1, 1], [1, 0, 0, 1]])
    assert evidence("effects").thresholds(falls).tolist() == [1, 0, 0, 3]


def test_claims_and_arms_fit(evidence):
    claims, arms, run = evidence("claims"), evidence("arms"), evidence("run")
    assert len(claims.CLAIMS) >= 24
    assert len({one.name for one in claims.CLAIMS}) == len(claims.CLAIMS)
    for claim in claims.CLAIMS:
        assert {claim.a, claim.b} <= set(arms.ARMS)
        assert claim.a != claim.b or claim.b_measure
    digests = [arms.ARMS[arm].digest(data) for arm, data in run.wanted()]
    # "SGD" and "deep ..." differ in their rates at least: nothing is trained twice.
    assert len(set(digests)) == len(digests)


def test_results_of_a_changed_arm_are_not_found(evidence, tmp_path):
    arms, results = evidence("arms"), evidence("results")
    path = tmp_path / "some.jsonl"
    kept = results.Results(path)
    row = {"kind": "run", "digest": arms.Arm().digest("wine"), "seconds": 1.0, "measures": {"a": 1}}
    kept.add(row)
    path.write_text(path.read_text() + '{"kind": "run", "dig')  # killed while writing
    again = results.Results(path)
    assert again.of(arms.Arm(), "wine") == {"a": 1}
    assert again.of(arms.Arm(), "digits") is None
    assert again.of(arms.Arm(momentum=0.5), "wine") is None
    again.add({**row, "digest": "another"})
    assert len(results.Results(path)._found) == 2


def test_splits_share_no_example_and_are_scaled_by_the_training_part(evidence):
    data = evidence("data_sets")
    found = data.splits("digits", "raw", [0, 1])
    rows = np.concatenate([found.train.x[0], found.validation.x[0], found.test.x[0]])
    assert rows.shape == (1797, 64)
    assert rows.sum() == found.train.x[1].sum() + found.validation.x[1].sum() + (
        found.test.x[1].sum()
    )
    assert not np.array_equal(found.train.x[0], found.train.x[1])
    scaled = data.splits("digits", "standardized", [0]).train.x[0]
    np.testing.assert_allclose(scaled.mean(axis=0), 0, atol=1e-5)
    assert scaled.std(axis=0).max() == pytest.approx(1, abs=1e-4)
    unit = data.splits("digits", "unit", [0]).train.x[0]
    assert (unit.min(), unit.max()) == (0, 1)


@pytest.fixture
def small(evidence, monkeypatch):
    """Three seeds' splits of 32 digits, in place of the data set."""
    data, training = evidence("data_sets"), evidence("training")
    whole = data.splits("digits", "standardized", [0, 1, 2])
    parts = [data.Part(one.x[:, :32], one.y[:, :32]) for one in whole[:3]]
    found = data.Splits(*parts, whole.classes)
    monkeypatch.setattr(training, "splits", lambda *_: found)
    monkeypatch.setitem(training.PLANS, "digits", data.PLANS["digits"]._replace(epochs=2, batch=8))
    return found


def test_a_replica_takes_the_steps_that_keras_takes_alone(evidence, small):
    arms, networks, replicas = evidence("arms"), evidence("networks"), evidence("replicas")
    optimizers = evidence("optimizers")
    arm = arms.Arm(layers=1, units=6, momentum=0.9, rates=(0.1, 0.5), decays=(0.0, 0.01))
    seeds, count = [0, 1, 2], 12
    models = [networks.network(arm, 64, 10, seed) for seed in seeds]
    alone = networks.network(
        arms.Arm(layers=1, units=6), 64, 10, 1
    )  # seed 1 at rate 0.5 and decay 0.01: replica 3 * 3 + 1
    rates, decays = np.repeat(np.array(arm.grid), 3, axis=0).T
    import tensorflow as tf

    for model in models:
        model.compile(
            optimizers.SGD(rates, factors=tf.ones(count), decays=decays, clip=0.7, max_norm=1.1,
                           learning_rate=1.0, momentum=0.9),
            networks.cost(arm, 10),
        )  # fmt: skip
    together = replicas.SplitReplicas(models, len(arm.grid))
    losses = together.train_epoch(small.train, 8)
    expected = _alone(alone, small.train.x[1], small.train.y[1])
    found = together.outputs(small.test.x)[10]
    np.testing.assert_allclose(found, alone(small.test.x[1]), atol=2e-5)
    assert losses[10] == pytest.approx(expected, abs=1e-4)


def _alone(model, x, y):
    """Gradient descent with rate 0.5, momentum 0.9, decay 0.01, clipping and max-norm, by hand."""
    import tensorflow as tf

    order = np.random.default_rng([1, 11]).permutation(len(x)).reshape(-1, 8)
    velocities = [np.zeros(one.shape, "float32") for one in model.trainable_variables]
    losses = []
    for rows in order:
        with tf.GradientTape() as tape:
            loss = tf.reduce_mean(
                keras.losses.sparse_categorical_crossentropy(y[rows], model(x[rows]))
            )
        gradients = [one.numpy() for one in tape.gradient(loss, model.trainable_variables)]
        share = min(1.0, 0.7 / np.sqrt(sum((one**2).sum() for one in gradients)))
        losses.append(float(loss))
        for at, variable in enumerate(model.trainable_variables):
            value, is_kernel = variable.numpy(), variable.ndim == 2
            gradient = share * gradients[at] + 0.01 * value * is_kernel
            velocities[at] = 0.9 * velocities[at] - 0.5 * gradient
            value = value + velocities[at]
            if is_kernel:
                value = value * np.minimum(1, 1.1 / np.linalg.norm(value, axis=0))
            variable.assign(value)
    return np.mean(losses)


def test_dropout_draws_for_each_replica_and_each_time(evidence, small):
    arms, networks, replicas = evidence("arms"), evidence("networks"), evidence("replicas")
    models = [networks.network(arms.Arm(units=6, dropout=0.5), 64, 10, seed) for seed in (0, 1, 2)]
    for model in models:
        model.set_weights(models[0].get_weights())  # they differ in the seeds of masks alone
        model.compile("sgd", "sparse_categorical_crossentropy")
    together = replicas.SplitReplicas(models, 1)
    same = np.repeat(small.test.x[:1], 3, axis=0)
    calm = together.outputs(same)
    np.testing.assert_array_equal(calm[0], calm[1])
    first, second = (together.outputs(same, active=True) for _ in range(2))
    assert np.abs(first[0] - first[1]).max() > 0.01
    assert np.abs(first - second).max() > 0.01


def test_an_arm_is_trained_and_measured(evidence, small):
    arms, training = evidence("arms"), evidence("training")
    arm = arms.Arm(layers=1, units=6, schedule="halving", rates=(0.1, 1e9))
    found = training.train(arm, "digits", [0, 1, 2])
    assert np.shape(found["test_accuracy"]) == (2, 3)
    assert found["speed"][1] == pytest.approx([np.log(10.0)] * 3, abs=2.0)
    assert np.isfinite(list(found.values())).all()


def _results(validation, test):
    """Ten seeds that all say the same, at five rates."""
    return {
        "validation_accuracy": [[float(one)] * 10 for one in validation],
        "test_accuracy": [[float(one)] * 10 for one in test],
        "validation_loss": [[0.0] * 10 for _ in validation],
    }
