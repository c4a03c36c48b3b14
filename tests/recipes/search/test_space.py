"""`space`: what each trial is wired with, KerasTuner's own tuners on it, what it refuses."""

import copy
import functools
import itertools
import math
import pickle

import keras
import keras_tuner
import numpy as np
import pytest
import tensorflow as tf

from trainwell import recipes
from trainwell.recipes.activations import ACTIVATIONS
from trainwell.recipes.mlp import mlp
from trainwell.recipes.search._space_combinations import combinations
from trainwell.recipes.search.space import Choice, Range, space

X = np.random.default_rng(0).normal(size=(24, 6)).astype(np.float32)
Y = (X[:, 0] > 0).astype(np.int64)
GLOROT = ("linear", "softmax", "sigmoid", "tanh", "softsign")


def set_to(**values):
    hp = keras_tuner.HyperParameters()
    hp.values.update(values)
    return hp


def dense(model):
    return [layer for layer in model.layers if isinstance(layer, keras.layers.Dense)]


def declared_by(build_model):
    hp = keras_tuner.HyperParameters()
    build_model(hp)
    return {one.name: one for one in hp.space}


# ------------------------------------------------------------------ wiring


@pytest.fixture(scope="module")
def all_activations():
    return space(mlp, 6, [5, 4], 2, activation=Choice(*ACTIVATIONS), l2=None)


@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_the_initializer_is_the_activations(all_activations, activation):
    model = all_activations(set_to(activation=activation))
    kind = keras.initializers.HeNormal
    if activation == "selu":
        kind = keras.initializers.LecunNormal
    if activation in GLOROT:
        kind = keras.initializers.GlorotNormal
    *hidden, output = dense(model)
    assert [type(layer.kernel_initializer) for layer in hidden] == [kind, kind]
    assert type(output.kernel_initializer) is keras.initializers.GlorotNormal


def test_the_penalty_lands_on_every_kernel():
    build_model = space(mlp, 6, [5, 4], 2, l2=(1e-6, 1e-2))
    model = build_model(set_to(l2=0.003))
    expected = 0.0
    for layer in dense(model):
        assert float(layer.kernel_regularizer.l2) == pytest.approx(0.003)
        expected += 0.003 * float(np.square(layer.kernel.numpy()).sum())
    assert float(sum(model.losses)) == pytest.approx(expected, rel=1e-5)
    # 0, which no logarithmic range holds, keeps its place.
    assert [float(layer.kernel_regularizer.l2) for layer in dense(build_model(set_to(l2=0.0)))] == [
        0.0,
        0.0,
        0.0,
    ]


def test_no_penalty_leaves_the_users():
    model = space(mlp, 6, [5], 2, l2=None, kernel_regularizer="l1")(set_to())
    assert isinstance(dense(model)[0].kernel_regularizer, keras.regularizers.L1)
    assert "l2" not in declared_by(space(mlp, 6, [5], 2, l2=None))


@pytest.mark.parametrize(
    ("optimizer", "kind", "momentum"),
    [
        ("sgd", keras.optimizers.SGD, 0.0),
        (keras.optimizers.Adam, keras.optimizers.Adam, None),
        (functools.partial(keras.optimizers.SGD, momentum=0.9), keras.optimizers.SGD, 0.9),
        (lambda rate: keras.optimizers.SGD(rate, 0.5), keras.optimizers.SGD, 0.5),
    ],
)
def test_compiled(optimizer, kind, momentum):
    build_model = space(mlp, 6, [5], 2, optimizer=optimizer)
    first, second = (build_model(set_to(learning_rate=0.03)) for _ in range(2))
    assert type(first.optimizer) is kind and first.optimizer is not second.optimizer
    assert float(first.optimizer.learning_rate) == pytest.approx(0.03)
    assert momentum is None or first.optimizer.momentum == momentum
    assert first.loss == "sparse_categorical_crossentropy"
    assert set(first.evaluate(X, Y, verbose=0, return_dict=True)) == {"loss", "accuracy"}


def test_metrics_are_made_anew():
    mine = keras.metrics.SparseTopKCategoricalAccuracy(1, name="top")
    build_model = space(mlp, 6, [5], 2, metrics=[mine, "accuracy"])
    model = build_model(set_to())
    logs = model.evaluate(X, Y, verbose=0, return_dict=True)
    assert logs["top"] == pytest.approx(logs["accuracy"])
    assert float(mine.count) == 0
    assert set(space(mlp, 6, [5], 2, metrics=None)(set_to()).evaluate(X, Y, return_dict=True)) == {
        "loss"
    }


def test_seeds():
    def kernels(seed):
        build_model = space(mlp, 6, [6, 6], 2, activation=Choice("relu", "gelu"), seed=seed)
        values = ("relu", "gelu")
        return [
            layer.kernel.numpy()
            for name in values
            for layer in dense(build_model(set_to(activation=name)))
        ]

    seeded, again, free = kernels(3), kernels(3), kernels(None)
    for one, other in zip(seeded, again, strict=True):
        np.testing.assert_array_equal(one, other)
    # The two hidden layers differ; with the seed both trials start alike, without it they don't.
    assert not np.array_equal(seeded[0], seeded[1])
    np.testing.assert_array_equal(seeded[0], seeded[3])
    assert not np.array_equal(free[0], free[3])
    keras.utils.set_random_seed(7)
    first = kernels(None)
    keras.utils.set_random_seed(7)
    for one, other in zip(first, kernels(None), strict=True):
        np.testing.assert_array_equal(one, other)


# ------------------------------------------------------------------ what KerasTuner is told


def test_the_names_that_the_heuristics_read():
    found = declared_by(space(mlp, 6, [5], 2, batch_size=Choice(16, 32)))
    assert set(found) == {"learning_rate", "l2", "batch_size"}
    rate = found["learning_rate"]
    assert (rate.min_value, rate.max_value, rate.sampling) == (1e-4, 1.0, "log")
    assert rate.default == pytest.approx(0.01)
    assert found["l2"].values == [0.0, 1e-5, 1e-4, 1e-3, 1e-2] and found["l2"].ordered
    assert found["batch_size"].values == [16, 32]
    # A fixed one is not searched.
    assert not declared_by(space(mlp, 6, [5], 2, learning_rate=0.1, l2=0, batch_size=8))


def test_values_of_every_kind_come_back_as_they_were():
    def build(width, units, flag, none, rate, words=("a",), **more):
        seen.append((width, units, flag, none, rate, words, more))
        return mlp(6, units, 2)

    seen = []
    build_model = space(
        build,
        Range(4, 8),
        Choice([5], (5, 5)),
        flag=Choice(True, False),
        none=Choice(None, 2, "x"),
        rate=Choice(0, 0.5),
        words=Choice(("a",), ["b"]),
        extra=Choice({"a": 1}, {}),
        l2=None,
    )
    found = declared_by(build_model)
    assert found["flag"].values == ["True", "False"] and found["rate"].values == [0.0, 0.5]
    assert type(found["width"]).__name__ == "Int"
    seen.clear()
    build_model(set_to())
    build_model(set_to(width=7, units="(5, 5)", flag="False", none="'x'", rate=0.5, words="['b']"))
    assert seen == [
        (4, [5], True, None, 0.0, ("a",), {"extra": {"a": 1}}),
        (7, (5, 5), False, "x", 0.5, ["b"], {"extra": {"a": 1}}),
    ]
    assert seen[0][2] is True


def test_numbers_between_the_choices_are_taken():
    # `HeuristicTuner` refines between the decades.
    model = space(mlp, 6, [5], 2, learning_rate=Choice(0.1, 1))(set_to(learning_rate=0.25, l2=3e-5))
    assert float(model.optimizer.learning_rate) == 0.25
    assert float(dense(model)[0].kernel_regularizer.l2) == pytest.approx(3e-5)


def test_draws_stay_in_the_space():
    build_model = space(
        mlp, 6, [5], 2, dropout=Range(0.1, 0.3), l2=Range(1e-5, 1e-3, log=True, step=10)
    )
    found = declared_by(build_model)
    rates = [found["dropout"].random_sample(seed) for seed in range(200)]
    assert min(rates) >= 0.1 and max(rates) <= 0.3 and max(rates) - min(rates) > 0.15
    penalties = {f"{found['l2'].random_sample(seed):.0e}" for seed in range(100)}
    assert penalties == {"1e-05", "1e-04", "1e-03"}


@pytest.mark.parametrize(
    "tuner", [keras_tuner.RandomSearch, keras_tuner.BayesianOptimization, keras_tuner.Hyperband]
)
def test_keras_tuners_own(tuner, tmp_path):
    if tuner is keras_tuner.BayesianOptimization:
        pytest.importorskip("scipy")
        pytest.importorskip("sklearn")
    build_model = space(
        mlp,
        6,
        Choice([5], [5, 4]),
        2,
        activation=Choice("relu", "selu"),
        normalization=Choice(None, "batch"),
        batch_size=Choice(8, 12),
        adapt_to=X,
    )
    limits = {"max_epochs": 2} if tuner is keras_tuner.Hyperband else {"max_trials": 2}
    search = tuner(
        build_model,
        objective="val_accuracy",
        seed=0,
        directory=tmp_path,
        project_name="p",
        **limits,
    )
    search.search(X, Y, validation_data=(X, Y), epochs=1, verbose=0)
    trials = search.oracle.trials.values()
    assert len(trials) >= 2 and {trial.status for trial in trials} == {"COMPLETED"}
    best = search.get_best_models()[0]
    values = search.get_best_hyperparameters()[0]
    score = search.oracle.get_best_trials()[0].score
    logs = best.evaluate(X, Y, verbose=0, return_dict=True)
    assert logs["accuracy"] == pytest.approx(score)
    kind = keras.initializers.LecunNormal if values["activation"] == "selu" else None
    assert type(dense(best)[0].kernel_initializer) is (kind or keras.initializers.HeNormal)
    # Resumed: nothing is left to run.
    again = tuner(
        build_model,
        objective="val_accuracy",
        seed=0,
        directory=tmp_path,
        project_name="p",
        **limits,
    )
    assert again.oracle.trials.keys() == search.oracle.trials.keys()


def test_the_batch_size_reaches_fit():
    build_model = space(mlp, 6, [5], 2, batch_size=Choice(8, 12))
    for size, steps in ((8, 3), (12, 2)):
        hp = set_to(batch_size=size)
        model = build_model(hp)
        history = build_model.fit(hp, model, X, Y, epochs=1, verbose=0)
        assert isinstance(history, keras.callbacks.History)
        assert int(model.optimizer.iterations) == steps
    # By position the third one is the batch size, the fourth the epochs.
    hp = set_to(batch_size=12)
    model = build_model(hp)
    build_model.fit(hp, model, X, Y, 12, 2, 0)
    assert int(model.optimizer.iterations) == 4
    fixed = space(mlp, 6, [5], 2, batch_size=6)
    model = fixed(set_to())
    fixed.fit(set_to(), model, X, Y, verbose=0)
    assert int(model.optimizer.iterations) == 4
    free = space(mlp, 6, [5], 2)
    # `HeuristicTuner` prepares the data of those that don't.
    assert type(free).fit is keras_tuner.HyperModel.fit
    model = free(set_to())
    free.fit(set_to(), model, tf.data.Dataset.from_tensor_slices((X, Y)).batch(4), verbose=0)
    assert int(model.optimizer.iterations) == 6


def test_a_batch_size_that_would_have_no_effect_ends_the_search(tmp_path):
    build_model = space(mlp, 6, [5], 2, batch_size=Choice(8, 12))
    search = keras_tuner.RandomSearch(
        build_model, "accuracy", max_trials=2, directory=tmp_path, project_name="p"
    )
    with pytest.raises(ValueError, match=r"set by the space.*batch_size=32 in `search`"):
        search.search(X, Y, batch_size=32, verbose=0)
    with pytest.raises(ValueError, match=r"comes in batches"):
        search.search(tf.data.Dataset.from_tensor_slices((X, Y)).batch(4), verbose=0)


def test_copies_pickles_and_its_text():
    build_model = space(
        mlp, 6, Choice([5], [5, 4]), 2, activation="selu", adapt_to=X, dropout=Range(0.0, 0.5)
    )
    for one in (copy.deepcopy(build_model), pickle.loads(pickle.dumps(build_model))):
        assert one.build.__self__ is one
        assert repr(one) == repr(build_model)
        assert len(dense(one(set_to(hidden_units="[5, 4]")))) == 3
    assert repr(build_model) == (
        "space(mlp, 6, Choice([5], [5, 4]), 2, activation='selu', "
        "adapt_to=<array of shape (24, 6)>, dropout=Range(0.0, 0.5), optimizer='sgd', "
        "loss='sparse_categorical_crossentropy', metrics=('accuracy',), "
        "learning_rate=Range(0.0001, 1.0, log=True, default=0.01), "
        "l2=Choice(0.0, 1e-05, 0.0001, 0.001, 0.01), batch_size=None)"
    )


@pytest.mark.parametrize(
    ("builder", "args", "options"),
    [
        (
            recipes.convnet,
            ((8, 8, 1), Choice([2], [2, 3]), 2),
            {"pooling": Choice("max", "average")},
        ),
        (recipes.residual_mlp, (6, [5, 5], 2), {"pre_activation": Choice(False, True)}),
        (recipes.resnet, ((8, 8, 1), 2), {"depth": Choice(8, 14), "width": 2}),
        (recipes.recurrent, ((3, 2), [4], 2), {"cell": Choice("lstm", "gru")}),
        (recipes.self_normalizing_mlp, (6, [5], 2), {"dropout": Range(0.0, 0.1)}),
        (recipes.wide_and_deep, (6, [5], 2), {"activation": Choice("elu", "selu")}),
    ],
)
def test_every_builder(builder, args, options):
    model = space(builder, *args, **options)(set_to(l2=0.25))
    kernels = [layer for layer in model.layers if getattr(layer, "kernel_regularizer", None)]
    assert kernels and all(float(layer.kernel_regularizer.l2) == 0.25 for layer in kernels)


def test_mixed_precision_and_xla():
    keras.mixed_precision.set_dtype_policy("mixed_float16")
    try:
        model = space(mlp, 6, [5], 2)(set_to(learning_rate=0.5))
    finally:
        keras.mixed_precision.set_dtype_policy("float32")
    assert float(model.optimizer.learning_rate) == 0.5
    model.jit_compile = True
    assert math.isfinite(model.fit(X, Y, verbose=0).history["loss"][0])


# ------------------------------------------------------------------ combinations


def test_few_combinations_are_all_built():
    values = {"a": [1, 2, 3], "b": ["x", "y"], "c": [True, False]}
    rows = combinations(values)
    assert len(rows) == 12 and len({tuple(row.values()) for row in rows}) == 12
    assert combinations({}) == [{}]
    assert [row["a"] for row in combinations({"a": list(range(50))})] == list(range(50))


def test_many_combinations_by_pairs():
    values = {
        name: list(range(size)) for name, size in zip("abcdef", (4, 4, 3, 5, 2, 4), strict=True)
    }
    rows = combinations(values)
    assert all(list(row) == list(values) for row in rows)
    for a, b in itertools.combinations(values, 2):
        assert {(row[a], row[b]) for row in rows} == set(itertools.product(values[a], values[b]))
    # At least 5 times 4; all would be 1,920.
    assert 20 <= len(rows) <= 40


def test_built_before_the_search():
    built = []

    def build(**values):
        built.append(values)
        return mlp(6, [5], 2)

    space(build, a=Choice(1, 2), b=Range(3, 9, step=3), c=Range(0.5, 1.5), l2=None)
    assert sorted(tuple(values.values()) for values in built) == sorted(
        itertools.product((1, 2), (3, 6, 9), (0.5, 1.5))
    )
    built.clear()
    space(build, a=Range(2, 20, log=True, step=3), l2=None)
    assert [values["a"] for values in built] == [2, 6, 18]
    built.clear()
    space(build, a=Range(2, 20, log=True), b=Range(1, 2, step=5), l2=None)
    assert [values["a"] for values in built] == [2, 20] and built[0]["b"] == 1


# ------------------------------------------------------------------ errors


def ignores_l2(width=4):
    return mlp(6, [width], 2)


def compiles(learning_rate):
    raise AssertionError


SAME = keras.optimizers.SGD(0.1)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"activation": Choice("relu", "selu"), "kernel_initializer": "he_normal"},
            r"no trial.*Received: activation=Choice\('relu', 'selu'\), .*'he_normal'\. Leave",
        ),
        (
            {"activation": "selu", "kernel_initializer": Choice("lecun_normal", "he_uniform")},
            r"activation='selu', which needs Lecun's, with kernel_initializer='he_uniform', He's",
        ),
        ({"kernel_initializer": "glorot_uniform"}, r"activation='relu', which needs He's"),
        ({"kernel_initializer": "he"}, r"must be a Keras initializer"),
        ({"activation": Choice("relu", "rellu")}, r"mlp with activation='rellu'.*'relu'\?"),
        ({"activaton": "relu"}, r"unexpected keyword argument 'activaton'.*mean 'activation'"),
        ({"hidden_units": [5]}, r"multiple values for argument 'hidden_units'"),
        ({"dropout": [Range(0.0, 0.5)]}, r"whole argument.*dropout=\[Range\(0\.0, 0\.5\)\]"),
        ({"dropout": Range(0.0, 1.0)}, r"mlp with dropout=1\.0, .*share of units"),
        (
            {"input_normalization": Choice(None, "batch"), "adapt_to": X},
            r"mlp with input_normalization=\"'batch'\", .*adapt_to",
        ),
        ({"kernel_regularizer": "l1"}, r"Received: both, kernel_regularizer='l1'.*`l2=None`"),
        ({"l2": (0, 1e-2)}, r"starts above 0\. Received: lowest=0\..*Choice\(0\.0"),
        ({"l2": -1e-4}, r"`l2` must be from 0 on.*l2=-0\.0001"),
        ({"l2": Choice("a", "b")}, r"`l2` must be from 0 on"),
        ({"learning_rate": 0}, r"`learning_rate` must be above 0.*learning_rate=0"),
        ({"learning_rate": (0.1, 0.01)}, r"to a larger one\. Received: Range\(0\.1, 0\.01\)"),
        ({"learning_rate": (0.1, 0.2, 0.3)}, r"`learning_rate` must be above 0"),
        ({"learning_rate": True}, r"learning_rate=True"),
        ({"learning_rate": math.inf}, r"learning_rate=inf"),
        ({"batch_size": 0}, r"`batch_size` must be a positive integer.*batch_size=0"),
        ({"batch_size": [16, 32]}, r"batch_size=\[16, 32\]\. Write Choice"),
        ({"batch_size": Range(1.0, 32.0)}, r"batch_size=Range\(1\.0, 32\.0\)"),
        ({"optimizer": SAME}, r"made anew for each trial.*lambda rate: SGD\(rate"),
        ({"optimizer": lambda rate: SAME}, r"returned the same one twice"),
        ({"optimizer": "sdg"}, r"must be the name of a Keras optimizer.*optimizer='sdg'"),
        ({"optimizer": 0.1}, r"must be the name of a Keras optimizer.*optimizer=0\.1"),
        ({"optimizer": dict}, r"which made \{'learning_rate': 0\.01\}"),
        ({"optimizer": Choice("sgd", "adaam")}, r"optimizer=Choice\('sgd', 'adaam'\)"),
        ({"optimizer": None}, r"optimizer=None"),
        ({"loss": "no_such_loss"}, r"loss='no_such_loss'\. Keras has no"),
        ({"loss": Choice("mse", "mae")}, r"the same in all trials.*loss=Choice"),
        ({"metrics": ["accuracy", "acuracy"]}, r"Keras has no 'acuracy'"),
        ({"name": 3}, r"mlp with nothing searched, and it says"),
    ],
)
def test_errors(changes, message):
    with pytest.raises(ValueError, match=message):
        space(mlp, 6, [5], 2, **changes)


@pytest.mark.parametrize(
    ("builder", "options", "message"),
    [
        ("mlp", {}, r"`builder` must be a function.*builder='mlp'"),
        (ignores_l2, {}, r"argument `kernel_regularizer`.*builder=ignores_l2.*`l2=None`"),
        (compiles, {}, r"leave 'learning_rate' to `space`"),
        (lambda: 3, {"l2": None}, r"must return a keras\.Model\. Received: 3"),
        (recipes.self_normalizing_mlp, {"activation": "relu"}, r"argument.*'?activation"),
    ],
)
def test_errors_of_builders(builder, options, message):
    with pytest.raises(ValueError, match=message):
        space(builder, **options)


def test_combinations_that_a_builder_refuses():
    with pytest.raises(ValueError, match=r"resnet with depth=21"):
        space(recipes.resnet, (8, 8, 1), 2, depth=Range(20, 26), width=1)
    with pytest.raises(ValueError, match=r"with .*kernel_initializer='he_normal'.*1 / fan_in"):
        space(
            recipes.self_normalizing_mlp,
            *(6, [5], 2),
            kernel_initializer=Choice("lecun_normal", "he_normal"),
        )


def test_a_project_of_another_space():
    build_model = space(mlp, 6, Choice([5], [6]), 2)
    with pytest.raises(ValueError, match=r"hidden_units='\[7\]', from a search of another space"):
        build_model(set_to(hidden_units="[7]"))


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Choice(), "at least one value"),
        (lambda: Choice(1, 1.0), "each value once"),
        (lambda: Choice([1], [1]), "each value once"),
        (lambda: Choice(math.nan, 1), "finite numbers.*nan"),
        (lambda: Choice(keras.regularizers.L2()), "builder of your own"),
        (lambda: Choice({1: 2}), "builder of your own"),
        (lambda: Range(2, 1), r"Received: Range\(2, 1\)"),
        (lambda: Range(1, math.inf), "finite number"),
        (lambda: Range("a", 1), "finite number"),
        (lambda: Range(False, 3), "finite number"),
        (lambda: Range(0, 1, log=True), "starts above 0"),
        (lambda: Range(1, 9, step=0), r"above 0\. Received: step=0"),
        (lambda: Range(1, 9, log=True, step=1), "above 1, a factor"),
        (lambda: Range(1, 9, step=0.5), r"integers.*Range\(1\.0, 9\.0\) for floats"),
        (lambda: Range(1, 9, default=10), r"in \[1, 9\]\. Received: default=10"),
        (lambda: Range(1, 9, log="yes"), "log='yes'"),
    ],
)
def test_errors_of_the_marks(make, message):
    with pytest.raises(ValueError, match=message):
        make()


def test_numpy_numbers():
    assert Choice(*np.array([1, 2])).values == (1, 2)
    assert type(Choice(np.int64(1)).values[0]) is int
    assert Range(np.int64(1), np.int64(5)).of_integers
    found = declared_by(
        space(
            mlp, 6, [5], 2, learning_rate=(np.float64(0.01), np.float32(1)), batch_size=np.int64(4)
        )
    )
    assert found["learning_rate"].default == pytest.approx(0.1)
