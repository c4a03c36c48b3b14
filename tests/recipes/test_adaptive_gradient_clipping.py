"""`AdaptiveGradientClipping`, against NumPy and against plain optimizers fed clipped gradients."""

import math

import keras
import numpy as np
import pytest
import tensorflow as tf

from trainwell.callbacks.gradient_norms import GradientNorms
from trainwell.callbacks.one_cycle import OneCycle
from trainwell.recipes.mlp import mlp
from trainwell.recipes.optimizers.adaptive_gradient_clipping import AdaptiveGradientClipping

RNG = np.random.default_rng(0)
X = RNG.normal(size=(32, 4)).astype(np.float32)
Y = RNG.integers(0, 3, 32)


def clipped(weights, gradient, clipping=0.01, epsilon=1e-3):
    """The paper's rule, unit by unit."""
    w, g = weights.astype(np.float64), gradient.astype(np.float64)
    if sum(size > 1 for size in w.shape) <= 1:
        w, g = w.reshape(-1, 1), g.reshape(-1, 1)
    rows_w, rows_g = w.reshape(-1, w.shape[-1]).T, g.reshape(-1, g.shape[-1]).T
    out = []
    for unit_w, unit_g in zip(rows_w, rows_g, strict=True):
        bound = clipping * max(np.linalg.norm(unit_w), epsilon)
        norm = np.linalg.norm(unit_g)
        out.append(unit_g * bound / norm if norm > bound else unit_g)
    return np.array(out).T.reshape(weights.shape)


def update(weights, gradient, **options):
    """What one step of SGD at rate 1 takes away from one variable."""
    variable = keras.Variable(weights, name="w")
    sgd = keras.optimizers.SGD(1.0)
    AdaptiveGradientClipping(sgd, exclude=None, **options).apply([gradient], [variable])
    return weights - variable.numpy()


SHAPES = [(), (5,), (1, 5), (5, 1), (4, 3), (3, 4, 5), (3, 3, 2, 4)]


@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_units_of_each_shape(shape):
    # From well below to well above the bound, and one unit of zeros.
    weights = np.asarray(RNG.normal(size=shape), np.float32)
    gradient = np.asarray(RNG.normal(size=shape) * 0.02, np.float32)
    if len(shape) > 1:
        weights[..., 0] = 0
        gradient[..., -1] *= 1e-3
    expected = clipped(weights, gradient, 0.02, 0.01)
    np.testing.assert_allclose(
        update(weights, gradient, clipping=0.02, epsilon=0.01), expected, rtol=1e-4, atol=1e-7
    )


def test_by_hand():
    # Units are columns: norms of weights 5 and 0, of gradients 10 and 2.
    weights = np.array([[3.0, 0.0], [4.0, 0.0]], np.float32)
    gradient = np.array([[6.0, 0.0], [8.0, 2.0]], np.float32)
    expected = [[0.03, 0.0], [0.04, 1e-5]]
    np.testing.assert_allclose(update(weights, gradient), expected, rtol=1e-4, atol=1e-7)


def test_the_largest_gradients_of_float32_are_clipped_not_zeroed():
    weights = np.full((2, 2), 1.0, np.float32)
    gradient = np.array([[3e30, 0.0], [4e30, 0.0]], np.float32)
    bound = 0.01 * math.sqrt(2)
    expected = [[0.6 * bound, 0], [0.8 * bound, 0]]
    np.testing.assert_allclose(update(weights, gradient), expected, rtol=1e-4, atol=1e-7)


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_what_is_not_finite_is_not_hidden(bad):
    taken = update(np.ones((2, 2), np.float32), np.array([[bad, 0.0], [1.0, 0.0]], np.float32))
    assert not np.isfinite(taken[0, 0])
    np.testing.assert_array_equal(taken[:, 1], 0)


# ---------------------------------------------------------------- in training


def network(optimizer, layers=(5, 4), **compile_options):
    model = mlp(4, list(layers), 3, activation="tanh", seed=0)
    model.compile(optimizer, "sparse_categorical_crossentropy", **compile_options)
    return model


def by_hand(model, optimizer, steps, accumulate=1):
    """Trains with a plain optimizer that is handed the gradients as NumPy clips them."""
    batches = X.reshape(-1, 8, 4), Y.reshape(-1, 8)
    for step in range(steps):
        total = [0.0] * len(model.trainable_variables)
        for part in range(accumulate):
            at = (step * accumulate + part) % 4
            with tf.GradientTape() as tape:
                loss = keras.losses.sparse_categorical_crossentropy(
                    batches[1][at], model(batches[0][at], training=True)
                )
                loss = tf.reduce_mean(loss)
            gradients = tape.gradient(loss, model.trainable_variables)
            total = [t + g.numpy() / accumulate for t, g in zip(total, gradients, strict=True)]
        for i, variable in enumerate(model.trainable_variables):
            if variable.path.split("/")[0] != "output":
                total[i] = clipped(variable.numpy(), total[i])
        optimizer.apply([tf.constant(t, tf.float32) for t in total], model.trainable_variables)
    return model.get_weights()


def close(one, other):
    for a, b in zip(one, other, strict=True):
        np.testing.assert_allclose(a, b, rtol=2e-4, atol=2e-6)


INNER = {
    "nesterov": lambda: keras.optimizers.SGD(0.5, momentum=0.9, nesterov=True),
    "adam": lambda: keras.optimizers.Adam(0.01),
    "adamw": lambda: keras.optimizers.AdamW(0.01, weight_decay=0.1),
    "schedule": lambda: keras.optimizers.SGD(keras.optimizers.schedules.CosineDecay(0.5, 8)),
    "static loss scale": lambda: keras.optimizers.SGD(0.5, loss_scale_factor=64.0),
}


@pytest.mark.parametrize(("name", "jit"), [*((name, False) for name in INNER), ("adamw", True)])
def test_fit_is_the_inner_optimizer_on_clipped_gradients(name, jit):
    inner = INNER[name]
    model = network(AdaptiveGradientClipping(inner()), jit_compile=jit)
    model.fit(X, Y, 8, epochs=2, shuffle=False, verbose=0)
    reference = inner()
    reference.loss_scale_factor = None
    close(model.get_weights(), by_hand(network("sgd"), reference, 8))


def test_the_name_of_an_optimizer_will_do():
    model = network(AdaptiveGradientClipping("sgd"))
    model.fit(X, Y, 8, shuffle=False, verbose=0)
    close(model.get_weights(), by_hand(network("sgd"), keras.optimizers.SGD(), 4))


def test_accumulated_gradients_are_clipped_as_one():
    inner = keras.optimizers.SGD(0.5, gradient_accumulation_steps=2)
    model = network(AdaptiveGradientClipping(inner))
    model.fit(X, Y, 8, epochs=2, shuffle=False, verbose=0)
    close(model.get_weights(), by_hand(network("sgd"), keras.optimizers.SGD(0.5), 4, accumulate=2))


def test_under_a_loss_scale_optimizer():
    outer = keras.optimizers.LossScaleOptimizer(
        AdaptiveGradientClipping(keras.optimizers.SGD(0.5, loss_scale_factor=8.0))
    )
    model = network(outer)
    model.fit(X, Y, 8, epochs=2, shuffle=False, verbose=0)
    close(model.get_weights(), by_hand(network("sgd"), keras.optimizers.SGD(0.5), 8))


def test_replicas_clip_the_summed_gradient(mirrored_strategy):
    with mirrored_strategy.scope():
        model = network(AdaptiveGradientClipping(keras.optimizers.SGD(0.5)))
    model.fit(X, Y, 8, epochs=1, shuffle=False, verbose=0)
    close(model.get_weights(), by_hand(network("sgd"), keras.optimizers.SGD(0.5), 4))


@pytest.mark.parametrize(
    ("exclude", "clips"),
    [
        # Kernel and bias of hidden_1, hidden_2 and output.
        ("last", (True, True, True, True, False, False)),
        (None, (True,) * 6),
        ((), (True,) * 6),
        ("hidden_1", (False, False, True, True, True, True)),
        (iter(["last", "hidden_2"]), (True, True, False, False, False, False)),
        (["hidden_1/bias", "/output/kernel"], (True, False, True, True, False, True)),
        ("bias", (True, False) * 3),
    ],
)
def test_what_is_excluded(exclude, clips):
    optimizer = AdaptiveGradientClipping(keras.optimizers.SGD(1.0), exclude=exclude)
    variables = network("sgd").trainable_variables
    before = [v.numpy() for v in variables]
    optimizer.apply([np.ones(v.shape, np.float32) for v in variables], variables)
    for old, variable, one in zip(before, variables, clips, strict=True):
        step = np.ones(old.shape, np.float32)
        expected = clipped(old, step) if one else step
        np.testing.assert_allclose(old - variable.numpy(), expected, rtol=1e-3, atol=1e-6)


def test_the_last_of_variables_outside_of_layers():
    variables = [keras.Variable(np.ones(2, np.float32), name=name) for name in "abc"]
    optimizer = AdaptiveGradientClipping(keras.optimizers.SGD(1.0))
    optimizer.apply([np.ones(2, np.float32)] * 3, variables)
    moved = [1 - float(v.numpy()[0]) for v in variables]
    np.testing.assert_allclose(moved, [0.01, 0.01, 1.0], rtol=1e-3)


@pytest.mark.parametrize(("jit", "accumulate"), [(False, None), (True, None), (False, 2)])
def test_embeddings(jit, accumulate):
    """Repeated indices count as their sum; the same with the dense gradient of a one-hot input."""
    words = np.array([[1, 1], [2, 1], [0, 2], [1, 0]])
    y = np.array([[1.0], [-1.0], [2.0], [0.5]], np.float32) * 30
    weights = []
    for sparse in (True, False):
        inner = keras.optimizers.SGD(1.0, gradient_accumulation_steps=accumulate)
        inputs = keras.Input((2,), dtype="int32")
        if sparse:
            layer = keras.layers.Embedding(4, 3, embeddings_initializer="ones", name="table")
            x = layer(inputs)
        else:
            layer = keras.layers.Dense(3, use_bias=False, kernel_initializer="ones", name="table")
            layer.build((None, 4))
            x = layer(keras.ops.one_hot(inputs, 4))
        x = keras.layers.Flatten()(x)
        model = keras.Model(inputs, keras.layers.Dense(1, kernel_initializer="ones")(x))
        model.compile(AdaptiveGradientClipping(inner), "mse", jit_compile=jit)
        model.fit(words, y, 2, epochs=2, shuffle=False, verbose=0)
        weights.append(model.get_weights())
    close(*weights)
    assert not np.allclose(weights[0][0], 1, atol=1e-3)


@pytest.mark.parametrize("jit", [False, True])
def test_gradient_norms_are_the_raw_ones(jit):
    model = network(AdaptiveGradientClipping(keras.optimizers.SGD(0.5)), jit_compile=jit)
    with tf.GradientTape() as tape:
        loss = tf.reduce_mean(keras.losses.sparse_categorical_crossentropy(Y, model(X)))
    expected = [np.linalg.norm(g) for g in tape.gradient(loss, model.trainable_variables)]
    monitor = GradientNorms()
    model.fit(X, Y, 32, shuffle=False, verbose=0, callbacks=[monitor])
    np.testing.assert_allclose(monitor.record["gradient_norm"][0], expected, rtol=1e-5)
    assert expected[0] > 0.1  # far above the bound
    assert monitor.record.network["optimizer"]["name"] == "AdaptiveGradientClipping(SGD)"
    # And the weights don't notice.
    alone = network(AdaptiveGradientClipping(keras.optimizers.SGD(0.5)), jit_compile=jit)
    alone.fit(X, Y, 32, shuffle=False, verbose=0)
    for a, b in zip(model.get_weights(), alone.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize("wrap", [lambda o: o, keras.optimizers.LossScaleOptimizer])
def test_gradient_norms_of_accumulated_gradients_are_raw(wrap):
    inner = keras.optimizers.SGD(0.0, gradient_accumulation_steps=2)
    model = network(wrap(AdaptiveGradientClipping(inner)))
    with tf.GradientTape() as tape:
        loss = tf.reduce_mean(keras.losses.sparse_categorical_crossentropy(Y, model(X)))
    expected = [np.linalg.norm(g) for g in tape.gradient(loss, model.trainable_variables)]
    monitor = GradientNorms()
    model.fit(X, Y, 16, verbose=0, callbacks=[monitor])
    np.testing.assert_allclose(monitor.record["gradient_norm"], [expected], rtol=1e-5)


def test_an_exploding_step_is_not_called_skipped():
    model = network(AdaptiveGradientClipping("sgd"))
    monitor = GradientNorms()
    model.fit(X * np.nan, Y, 32, verbose=0, callbacks=[monitor])
    assert not monitor.record.skipped.any()


def test_callbacks_may_set_the_rate():
    model = network(AdaptiveGradientClipping(keras.optimizers.SGD(0.5)))
    callback = keras.callbacks.ReduceLROnPlateau("loss", 0.5, 1, min_delta=1e9)
    logs = model.fit(X, Y, epochs=3, verbose=0, callbacks=[callback]).history["learning_rate"]
    assert logs == [0.5, 0.5, 0.25]
    assert float(model.optimizer.inner_optimizer.learning_rate) == 0.125
    assert int(model.optimizer.iterations) == 3


def test_one_cycle_finds_the_rate_and_the_momentum_below():
    inner = keras.optimizers.SGD(0.5, momentum=0.9)
    model = network(AdaptiveGradientClipping(inner))
    logs = model.fit(X, Y, 8, epochs=2, verbose=0, callbacks=[OneCycle(0.5)]).history
    np.testing.assert_allclose(logs["momentum"][-1], 0.95, rtol=1e-5)
    np.testing.assert_allclose(float(inner.learning_rate), 5e-5, rtol=1e-3)
    assert inner.momentum == 0.9


def test_moving_averages_are_written_at_the_end():
    model = network(AdaptiveGradientClipping(keras.optimizers.SGD(0.5, use_ema=True)))
    plain = network(AdaptiveGradientClipping(keras.optimizers.SGD(0.5)))
    for one in (model, plain):
        one.fit(X, Y, 8, shuffle=False, verbose=0)
    assert not np.allclose(model.get_weights()[0], plain.get_weights()[0], atol=1e-6)


def test_the_inner_optimizer_is_its_old_self_outside():
    inner = keras.optimizers.SGD(1.0)
    wrapper = AdaptiveGradientClipping(inner, exclude=None)
    variable = keras.Variable(np.ones(2, np.float32))
    wrapper.apply([np.full(2, 9.0, np.float32)], [variable])
    assert "update_step" not in vars(inner)
    before = variable.numpy()
    inner.apply([np.full(2, 9.0, np.float32)])
    np.testing.assert_allclose(before - variable.numpy(), 9.0, rtol=1e-6)
    with pytest.raises(ValueError, match="Unknown variable"):
        wrapper.apply([np.ones(2, np.float32)], [keras.Variable(np.ones(2, np.float32))])
    assert "update_step" not in vars(inner)


# ---------------------------------------------------------------- saving


@pytest.mark.parametrize(
    ("inner", "policy"),
    [("nesterov", "mixed_float16"), ("adamw", "float32")],
)
def test_saved_and_loaded_training_goes_on_bit_for_bit(inner, policy, tmp_path):
    def new():
        optimizer = AdaptiveGradientClipping(INNER[inner](), 0.05, 0.002, ["last", "hidden_1/bias"])
        return network(optimizer)

    keras.config.set_dtype_policy(policy)
    try:
        straight, first = new(), new()
        straight.fit(X, Y, 8, epochs=4, shuffle=False, verbose=0)
        first.fit(X, Y, 8, epochs=2, shuffle=False, verbose=0)
        first.save(tmp_path / "model.keras")
        loaded = keras.models.load_model(tmp_path / "model.keras")
        loaded.fit(X, Y, 8, epochs=4, initial_epoch=2, shuffle=False, verbose=0)
    finally:
        keras.config.set_dtype_policy("float32")
    for one, other in (
        (straight.get_weights(), loaded.get_weights()),
        (straight.optimizer.variables, loaded.optimizer.variables),
    ):
        for a, b in zip(one, other, strict=True):
            np.testing.assert_array_equal(np.asarray(a), np.asarray(b))
    wrapper = loaded.optimizer
    if policy == "mixed_float16":
        wrapper = wrapper.inner_optimizer
    assert (wrapper.clipping, wrapper.epsilon) == (0.05, 0.002)
    assert wrapper.exclude == ("last", "hidden_1/bias")
    assert not float(straight.evaluate(X, Y, verbose=0)) > 5


def test_weights_can_be_set():
    one, other = (network(AdaptiveGradientClipping(keras.optimizers.Adam())) for _ in range(2))
    one.train_on_batch(X, Y)
    other.train_on_batch(-X, Y)
    other.optimizer.set_weights([v.numpy() for v in one.optimizer.variables])
    for a, b in zip(one.optimizer.variables, other.optimizer.variables, strict=True):
        np.testing.assert_array_equal(a.numpy(), b.numpy())


# ---------------------------------------------------------------- bad arguments


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"inner_optimizer": "sdg"}, r"or the name of one, .* inner_optimizer='sdg'"),
        ({"inner_optimizer": 0.1}, r"inner_optimizer=0\.1"),
        ({"inner_optimizer": None}, r"inner_optimizer=None"),
        (
            {"inner_optimizer": keras.optimizers.LossScaleOptimizer(keras.optimizers.SGD())},
            r"must not wrap another optimizer itself\. .* goes around this one",
        ),
        ({"inner_optimizer": AdaptiveGradientClipping("sgd")}, r"one clipping is enough"),
        ({"clipping": 0}, r"`clipping` must be a number above 0\. Received: clipping=0"),
        ({"clipping": math.nan}, r"clipping=nan"),
        ({"clipping": "1"}, r"clipping='1'"),
        ({"epsilon": 0.0}, r"`epsilon` must be .* epsilon=0\.0"),
        ({"epsilon": math.inf}, r"epsilon=inf"),
        ({"exclude": 3}, r"a sequence of such, or None\. Received: exclude=3"),
        ({"exclude": [None]}, r"exclude=\[None\]"),
        ({"exclude": [""]}, r"exclude=\[''\]"),
    ],
)
def test_bad_arguments(arguments, message):
    with pytest.raises(ValueError, match=message):
        AdaptiveGradientClipping(**{"inner_optimizer": "sgd", **arguments})


def test_an_excluded_name_that_fits_nothing():
    model = network(AdaptiveGradientClipping("sgd", exclude=["last", "hidden1"]))
    with pytest.raises(ValueError, match=r"'hidden1' is none of .*Did you mean 'hidden_1'\?"):
        model.train_on_batch(X, Y)
