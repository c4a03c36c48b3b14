"""Transfer: weights bit-identical, originals untouched, compiled as before but for the rate."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from trainwell.recipes.mlp import mlp
from trainwell.recipes.transfer import reuse_layers, unfreeze

RNG = np.random.default_rng(0)
X = RNG.normal(size=(24, 6)).astype(np.float32)
Y = RNG.integers(0, 3, 24)


def chain():
    """input - hidden_1 - its activation - hidden_2 - its activation - output."""
    return mlp(6, [5, 4], 3, seed=0)


def names(model):
    return [layer.name for layer in model.layers]


def trainable(model):
    return [layer.name for layer in model.layers if layer.trainable_weights]


def features(model, name):
    return keras.Model(model.inputs, model.get_layer(name).output).predict(X, verbose=0)


def weights_of(model):
    return [w.copy() for w in model.get_weights()]


def assert_equal(first, second):
    for a, b in zip(first, second, strict=True):
        np.testing.assert_array_equal(a, b)


LOWER = ["input", "hidden_1", "hidden_1_activation"]
UPPER = ["hidden_2", "hidden_2_activation"]


@pytest.mark.parametrize(
    ("layers", "expected"),
    [
        (-1, LOWER + UPPER),
        (4, LOWER + UPPER),
        (-3, LOWER),
        (2, LOWER),
        ("hidden_2_activation", LOWER + UPPER),
        ("hidden_1_activation", LOWER),
        (["hidden_1", "hidden_1_activation", "hidden_2"], [*LOWER, "hidden_2"]),
        # In the order of the model, not of the list; the activation is skipped.
        (["hidden_2", "hidden_1"], ["input", "hidden_1", "hidden_2"]),
    ],
)
@pytest.mark.parametrize("copy", [True, False])
def test_which_layers(layers, expected, copy):
    model = reuse_layers(chain(), layers, 2, copy=copy, name="new")
    assert names(model) == [*expected, "output"]
    assert trainable(model) == ["output"]
    assert (model.name, model.compiled, model.output_shape) == ("new", False, (None, 2))


def test_reused_features_are_bit_identical_and_skipping_is_the_composition_by_hand():
    source = chain()
    model = reuse_layers(source, -1, 2)
    assert_equal([features(model, UPPER[1])], [features(source, UPPER[1])])
    skipped = reuse_layers(source, ["hidden_1", "hidden_2"], 2)
    first, second = (source.get_layer(f"hidden_{i}") for i in (1, 2))
    by_hand = (X @ first.kernel.numpy() + first.bias.numpy()) @ second.kernel.numpy()
    np.testing.assert_allclose(features(skipped, "hidden_2"), by_hand, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("copy", [True, False])
def test_only_shared_layers_change_the_old_model(copy):
    # Géron's trap: without a clone, training the new model ruins the old one.
    source = chain()
    before = weights_of(source)
    model = reuse_layers(source, -1, 3, copy=copy, trainable=True)
    assert all(layer.trainable for layer in source.layers)
    model.compile("sgd", "sparse_categorical_crossentropy")
    model.fit(X, Y, epochs=2, verbose=0)
    changed = [not np.array_equal(a, b) for a, b in zip(before, source.get_weights(), strict=True)]
    # The old output layer, the last two weights, is in no case part of the new model.
    assert changed == [not copy] * 4 + [False] * 2
    frozen = reuse_layers(source, -1, 3, copy=copy)
    assert source.get_layer("hidden_1").trainable == copy
    assert not frozen.get_layer("hidden_1").trainable


def test_from_a_file_and_back(tmp_path):
    source = chain()
    source.save(tmp_path / "trained.keras")
    for path in (tmp_path / "trained.keras", str(tmp_path / "trained.keras")):
        model = reuse_layers(path, -1, 3, seed=1)
        assert_equal([features(model, UPPER[1])], [features(source, UPPER[1])])
    model.save(tmp_path / "new.keras")
    loaded = keras.models.load_model(tmp_path / "new.keras")
    assert_equal([loaded.predict(X, verbose=0)], [model.predict(X, verbose=0)])
    assert trainable(loaded) == ["output"]


def test_the_output_layer_has_the_initializer_of_its_activation_and_the_seed():
    source = mlp(6, [400], 2, seed=0)

    def kernel(**arguments):
        return reuse_layers(source, -1, 300, **arguments).get_layer("output").kernel.numpy()

    # 120,000 weights: the variance's relative standard error is below sqrt(2 / 120,000).
    bound = 5 * np.sqrt(2 / 120_000)
    assert kernel(seed=1).var() == pytest.approx(2 / 700, rel=bound)
    assert kernel(seed=1, output_activation="relu").var() == pytest.approx(2 / 400, rel=bound)
    np.testing.assert_array_equal(kernel(seed=1), kernel(seed=1))
    assert not np.isclose(kernel(seed=1), kernel(seed=2)).all()
    assert not np.isclose(kernel(), kernel()).all()


def test_a_second_output_layer_gets_a_name_of_its_own():
    model = reuse_layers(reuse_layers(chain(), 5, 4), 6, 2)
    assert names(model)[-3:] == ["output", "output_2", "output_3"]
    assert trainable(model) == ["output_3"]


def test_frozen_batch_normalization_keeps_to_its_moving_statistics():
    model = reuse_layers(mlp(6, [5], 3, normalization="batch", seed=0), -1, 3)
    before = features(model, "hidden_1_activation")
    statistics = weights_of(model.get_layer("hidden_1_batch_normalization"))
    model.compile("sgd", "sparse_categorical_crossentropy")
    model.fit(X + 3, Y, epochs=2, verbose=0)
    assert_equal(statistics, model.get_layer("hidden_1_batch_normalization").get_weights())
    assert_equal([features(model, "hidden_1_activation")], [before])
    unfreeze(model)
    model.fit(X + 3, Y, epochs=1, verbose=0)
    moved = model.get_layer("hidden_1_batch_normalization").get_weights()
    assert not any(np.array_equal(a, b) for a, b in zip(statistics, moved, strict=True))


def adapted(nested):
    layer = keras.layers.Normalization(name="adapted")
    layer.adapt(X * 7 + 3)
    layers = [keras.Input((6,)), layer, keras.layers.Dense(4, "tanh", name="hidden")]
    inner = keras.Sequential(layers, name="inner")
    if not nested:
        return keras.Sequential([keras.Input((6,)), *inner.layers, keras.layers.Dense(2)])
    inputs = keras.Input((6,))
    return keras.Model(inputs, keras.layers.Dense(2)(inner(inputs)))


@pytest.mark.parametrize("nested", [False, True])
def test_adapted_normalization_and_layers_of_two_models(nested):
    # Without nesting the layers' first calls are in `inner`, not in the model that is cut.
    source = adapted(nested)
    model = reuse_layers(source, -1, 3)
    last = "inner" if nested else "hidden"
    normal = (X - (X * 7 + 3).mean(axis=0)) / (X * 7 + 3).std(axis=0)
    layer = source.get_layer(last).layers[-1] if nested else source.get_layer(last)
    expected = np.tanh(normal @ layer.kernel.numpy())
    np.testing.assert_allclose(features(model, last), expected, rtol=1e-4, atol=1e-5)


def branched():
    inputs = {"a": keras.Input((6,), name="a"), "b": keras.Input((6,), name="b")}
    left = keras.layers.Dense(4, name="left")(inputs["a"])
    right = keras.layers.Dense(4, name="right")(inputs["b"])
    both = keras.layers.Add(name="both")([left, keras.ops.relu(right)])
    return keras.Model(inputs, keras.layers.Dense(2, name="old")(both))


def test_branches_operations_and_named_inputs():
    source = branched()
    model = reuse_layers(source, -1, 3)
    data = {"a": X, "b": 2 * X}
    assert model.predict(data, verbose=0).shape == (24, 3)
    assert trainable(model) == ["output"]
    left, right = (source.get_layer(n).kernel.numpy() for n in ("left", "right"))
    got = keras.Model(model.input, model.get_layer("both").output).predict(data, verbose=0)
    np.testing.assert_allclose(got, X @ left + np.maximum(2 * X @ right, 0), rtol=1e-4, atol=1e-5)
    with pytest.raises(ValueError, match=r"must need all others.*'right'"):
        reuse_layers(source, ["left", "right"], 3)
    with pytest.raises(ValueError, match=r"joins several others.*without 'both'"):
        reuse_layers(source, ["left", "right", "old"], 3)


def test_a_compiled_model_with_a_loss_that_keras_cannot_save():
    source = chain()
    source.compile("sgd", lambda y, p: keras.ops.mean(p))
    assert not reuse_layers(source, -1, 3).compiled


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_mixed_precision(dtype):
    policy = keras.mixed_precision.dtype_policy()
    keras.mixed_precision.set_dtype_policy(f"mixed_{dtype}")
    try:
        model = reuse_layers(chain(), -1, 3)
        model.compile(keras.optimizers.Adam(0.5), "sparse_categorical_crossentropy")
        model.fit(X, Y, epochs=1, verbose=0)
        unfreeze(model)
        assert isinstance(model.optimizer, keras.optimizers.LossScaleOptimizer) == (
            dtype == "float16"
        )
        assert float(model.optimizer.learning_rate) == pytest.approx(0.05)
        assert np.isfinite(model.fit(X, Y, epochs=1, verbose=0).history["loss"]).all()
    finally:
        keras.mixed_precision.set_dtype_policy(policy)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"model": "absent.keras"}, r"path of one.*absent"),
        ({"model": 3}, "Received: model=3"),
        ({"model": keras.Sequential([keras.layers.Dense(3)])}, "must be built"),
        ({"layers": 0}, r"Received: layers=0; the model has 5"),
        ({"layers": 6}, "Received: layers=6"),
        ({"layers": -5}, "Received: layers=-5"),
        ({"layers": True}, "Received: layers=True"),
        ({"layers": 1.5}, r"Received: layers=1\.5"),
        ({"layers": None}, "Received: layers=None"),
        ({"layers": []}, r"Received: layers=\[\]"),
        ({"layers": "hiden_1"}, "Did you mean 'hidden_1'"),
        ({"layers": ["hidden_1", "none"]}, "Received: layers=.*none"),
        ({"outputs": 0}, "Received: outputs=0"),
        ({"outputs": 1}, "constant 1"),
        ({"output_activation": "softmx"}, "Did you mean 'softmax'"),
        ({"trainable": None}, "Received: trainable=None"),
        ({"copy": "yes"}, "Received: copy='yes'"),
        ({"seed": 1.5}, r"Received: seed=1\.5"),
    ],
)
def test_bad_arguments_of_reuse_layers(arguments, message):
    arguments = {"model": chain(), "layers": -1, "outputs": 3, **arguments}
    with pytest.raises(ValueError, match=message):
        reuse_layers(arguments.pop("model"), arguments.pop("layers"), **arguments)


def test_features_that_are_no_vectors():
    layers = [keras.Input((8, 8, 1)), keras.layers.Conv2D(2, 3), keras.layers.Flatten()]
    with pytest.raises(ValueError, match=r"one vector a sample.*GlobalAveragePooling2D"):
        reuse_layers(keras.Sequential(layers), 1, 3)
    sequence = keras.Input((4, 2))
    states = keras.layers.LSTM(3, return_state=True, name="lstm")(sequence)
    with pytest.raises(ValueError, match="one vector a sample"):
        reuse_layers(keras.Model(sequence, states), "lstm", 3)


class Own(keras.Model):
    def call(self, inputs):
        return inputs


def test_subclasses_are_refused():
    model = Own()
    model.build((None, 6))
    with pytest.raises(ValueError, match=r"sequential or functional.*Own"):
        reuse_layers(model, -1, 3)


# unfreeze


def compiled(**arguments):
    model = reuse_layers(chain(), -1, 3, seed=0)
    model.compile(
        **{
            "optimizer": keras.optimizers.SGD(0.5, momentum=0.75, nesterov=True, clipnorm=1.5),
            "loss": "sparse_categorical_crossentropy",
            **arguments,
        }
    )
    return model


def test_recompiles_alike_with_a_tenth_of_the_rate_and_no_weight_changed():
    loss = keras.losses.SparseCategoricalCrossentropy(ignore_class=1)
    model = compiled(
        loss=loss,
        loss_weights=[0.25],
        metrics=["accuracy", keras.metrics.SparseTopKCategoricalAccuracy(k=2, name="top_2")],
        weighted_metrics=[keras.metrics.SparseCategoricalCrossentropy(name="weighted")],
        steps_per_execution=2,
    )
    model.fit(X, Y, epochs=1, batch_size=6, verbose=0)
    before, old = weights_of(model), model.optimizer
    unfreeze(model)
    assert_equal(before, model.get_weights())
    new = model.optimizer
    assert new is not old
    assert int(new.iterations) == 0
    settings = {**old.get_config(), "learning_rate": 0}
    assert {**new.get_config(), "learning_rate": 0} == settings
    assert float(new.learning_rate) == pytest.approx(0.05)
    assert model.steps_per_execution == 2
    assert model.loss is loss
    history = model.fit(X, Y, epochs=1, batch_size=6, verbose=0).history
    assert set(history) == {"loss", "accuracy", "top_2", "weighted"}
    changed = [not np.array_equal(a, b) for a, b in zip(before, model.get_weights(), strict=True)]
    assert changed == [True] * 6


@pytest.mark.parametrize("how", [{"jit_compile": True}, {"run_eagerly": True}, {}])
def test_recompiles_for_the_same_kind_of_step(how):
    model = compiled(**how)
    before = (model.jit_compile, model.run_eagerly)
    unfreeze(model)
    assert (model.jit_compile, model.run_eagerly) == before
    assert before == (how.get("jit_compile", False), how.get("run_eagerly", False))


def test_one_step_of_the_recompiled_model_by_a_tape():
    model = compiled(optimizer=keras.optimizers.SGD(0.5), loss_weights=[0.25])
    model.fit(X, Y, epochs=1, verbose=0)
    unfreeze(model, 0.125)
    with tf.GradientTape() as tape:
        losses = keras.losses.sparse_categorical_crossentropy(Y, model(X))
        loss = 0.25 * tf.reduce_mean(losses)
    gradients = tape.gradient(loss, [v.value for v in model.trainable_variables])
    expected = [
        v.numpy() - 0.125 * g.numpy()
        for v, g in zip(model.trainable_variables, gradients, strict=True)
    ]
    model.fit(X, Y, batch_size=24, verbose=0)
    for variable, value in zip(model.trainable_variables, expected, strict=True):
        np.testing.assert_allclose(variable.numpy(), value, rtol=1e-5, atol=1e-7)


def test_rates():
    schedule = keras.optimizers.schedules.ExponentialDecay(0.5, 1, 0.5)
    model = compiled(optimizer=keras.optimizers.Adam(schedule))
    model.fit(X, Y, batch_size=12, verbose=0)
    # After two steps the schedule stands at 0.5 * 0.25; a tenth of that, constant.
    unfreeze(model)
    assert float(model.optimizer.learning_rate) == pytest.approx(0.0125)
    unfreeze(model, schedule)
    assert float(model.optimizer.learning_rate) == 0.5
    model.fit(X, Y, batch_size=24, verbose=0)
    assert float(model.optimizer.learning_rate) == 0.25
    unfreeze(model, 0.25)
    assert float(model.optimizer.learning_rate) == 0.25


def test_named_layers_and_those_of_nested_models():
    model = compiled()
    unfreeze(model, layers=["hidden_2"])
    assert trainable(model) == ["hidden_2", "output"]
    unfreeze(model, layers="hidden_1")
    assert trainable(model) == ["hidden_1", "hidden_2", "output"]

    def nested():
        inner = keras.Sequential(
            [keras.Input((6,)), keras.layers.Dense(5, name="a"), keras.layers.Dense(4, name="b")],
            name="inner",
        )
        other = keras.Sequential([keras.Input((4,)), keras.layers.Dense(4, name="c")], name="other")
        inputs = keras.Input((6,))
        outer = keras.Model(inputs, other(inner(inputs)))
        outer.trainable = False
        return outer

    def learning(model):
        return [v.path.split("/")[-2] for v in model.trainable_variables if v.name == "kernel"]

    for wanted, expected in [(["b"], ["b"]), (["inner"], ["a", "b"]), (None, ["a", "b", "c"])]:
        outer = nested()
        outer.compile("sgd", "mse")
        unfreeze(outer, layers=wanted)
        assert learning(outer) == expected
        before = weights_of(outer)
        outer.fit(X, X[:, :4], verbose=0)
        changed = [not np.array_equal(a, b) for a, b in zip(before, weights_of(outer), strict=True)]
        assert changed == [n in expected for n in "abc" for _ in range(2)]


def test_sequential_models_and_optimizer_state_on_disk(tmp_path):
    model = keras.Sequential([keras.Input((6,)), keras.layers.Dense(5), keras.layers.Dense(3)])
    model.layers[0].trainable = False
    model.compile(keras.optimizers.Adam(0.25), "mse")
    unfreeze(model)
    model.fit(X, X[:, :3], epochs=2, verbose=0)
    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    assert float(loaded.optimizer.learning_rate) == pytest.approx(0.025)
    assert_equal(
        [v.numpy() for v in model.optimizer.variables],
        [v.numpy() for v in loaded.optimizer.variables],
    )


def test_not_compiled_is_only_unfrozen():
    model = reuse_layers(chain(), -1, 3)
    unfreeze(model)
    assert trainable(model) == ["hidden_1", "hidden_2", "output"]
    assert not model.compiled
    with pytest.raises(ValueError, match=r"learning_rate=0\.1.*not compiled"):
        unfreeze(model, 0.1)


def own_metric(y, p):
    return keras.ops.mean(p)


def test_functions_of_your_own():
    model = compiled(loss=lambda y, p: keras.ops.mean(keras.ops.square(p)), metrics=[own_metric])
    with pytest.raises(ValueError, match=r"metrics.*own_metric.*custom_object_scope"):
        unfreeze(model)
    assert trainable(model) == ["output"]
    with keras.saving.custom_object_scope({"own_metric": own_metric}):
        unfreeze(model)
    assert set(model.fit(X, Y, verbose=0).history) == {"loss", "own_metric"}


class OwnCompile(keras.Model):
    def compile(self, *args, **kwargs):
        super().compile(*args, **kwargs)


def test_a_compile_of_its_own_is_refused():
    inputs = keras.Input((6,))
    model = OwnCompile(inputs, keras.layers.Dense(3)(inputs))
    model.compile("sgd", "mse")
    with pytest.raises(ValueError, match="OwnCompile, which has its own"):
        unfreeze(model)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"learning_rate": 0}, "learning_rate=0"),
        ({"learning_rate": -1.0}, r"learning_rate=-1\.0"),
        ({"learning_rate": float("nan")}, "learning_rate=nan"),
        ({"learning_rate": float("inf")}, "learning_rate=inf"),
        ({"learning_rate": "0.1"}, r"learning_rate='0\.1'"),
        ({"learning_rate": True}, "learning_rate=True"),
        ({"layers": []}, r"layers=\[\]"),
        ({"layers": ["absent"]}, r"layers=\['absent'\]"),
        ({"layers": 2}, "layers=2"),
    ],
)
def test_bad_arguments_of_unfreeze(arguments, message):
    model = compiled()
    with pytest.raises(ValueError, match=f"Received: {message}"):
        unfreeze(model, **arguments)
    assert trainable(model) == ["output"]
    with pytest.raises(ValueError, match="Received: model=3"):
        unfreeze(3)


def test_a_last_layer_that_is_called_twice_is_refused():
    inputs = keras.Input((6,))
    shared = keras.layers.Dense(6, "tanh", name="shared")
    model = keras.Model(inputs, keras.layers.Dense(2, name="o")(shared(shared(inputs))))
    for layers in (-1, "shared"):
        with pytest.raises(ValueError, match="'shared', which it calls 2 times"):
            reuse_layers(model, layers, 3)
