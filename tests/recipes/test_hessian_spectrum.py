"""hessian_spectrum and newton_step against whole Hessians in NumPy."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from trainwell.recipes.hessian_spectrum import hessian_spectrum
from trainwell.recipes.newton_step import newton_step

RNG = np.random.default_rng(0)
X = RNG.normal(size=(20, 4)).astype("float32")
CLASSES = np.arange(20) % 3
LOSS = "sparse_categorical_crossentropy"


@pytest.fixture(scope="module")
def model():
    keras.utils.set_random_seed(0)
    layers = [
        keras.layers.Dense(3, "tanh", kernel_regularizer="l2"),
        keras.layers.BatchNormalization(),
        keras.layers.Dropout(0.5),
        keras.layers.Dense(3, "softmax"),
    ]
    model = keras.Sequential([keras.Input((4,)), *layers])
    model.compile(loss=LOSS, metrics=["accuracy"])
    return model


@pytest.fixture(scope="module")
def whole(model):
    """The whole Hessian and gradient, by TensorFlow's own reverse mode."""
    weights = [v.value for v in model.trainable_variables]
    with tf.GradientTape() as outer:
        with tf.GradientTape() as tape:
            each = keras.losses.sparse_categorical_crossentropy(CLASSES, model(X))
            loss = tf.reduce_mean(each) + sum(model.losses)
        gradient = tf.concat([tf.reshape(g, [-1]) for g in tape.gradient(loss, weights)], 0)
    parts = outer.jacobian(gradient, weights)
    hessian = np.concatenate([p.numpy().reshape(len(gradient), -1) for p in parts], 1)
    return hessian.astype("float64"), gradient.numpy()


@pytest.mark.parametrize("batch_size", [1024, 8])
def test_eigenvalues_are_those_of_the_whole_hessian(model, whole, batch_size):
    spectrum = hessian_spectrum(
        model, X, CLASSES, k=6, tolerance=1e-6, batch_size=batch_size, return_vectors=True
    )
    values = np.linalg.eigvalsh(whole[0])
    expected = values[np.argsort(-np.abs(values))][:6]
    np.testing.assert_allclose(spectrum.eigenvalues, expected, atol=1e-5 * abs(expected[0]))
    assert spectrum.highest == pytest.approx(values[-1], rel=1e-5)
    assert spectrum.lowest == pytest.approx(values[0], abs=1e-5 * abs(expected[0]))
    assert values[0] < 0
    np.testing.assert_allclose(spectrum.vectors @ spectrum.vectors.T, np.eye(6), atol=1e-8)
    images = spectrum.vectors @ whole[0]
    found = spectrum.eigenvalues[:, None] * spectrum.vectors
    np.testing.assert_allclose(images, found, atol=2e-6)


def test_few_iterations_are_within_their_bounds(model, whole):
    values = np.linalg.eigvalsh(whole[0])
    spectrum = hessian_spectrum(model, X, CLASSES, k=3, iterations=6)
    assert spectrum.iterations == 6
    assert spectrum.residuals.max() > 1e-3
    for value, residual in zip(spectrum.eigenvalues, spectrum.residuals, strict=True):
        assert np.abs(values - value).min() <= residual + 1e-6
    assert np.abs(values - spectrum.lowest).min() <= spectrum.lowest_residual + 1e-6


def test_the_model_is_left_as_it_is(model):
    model.evaluate(X, CLASSES, verbose=0)
    keras.utils.set_random_seed(7)
    before = keras.random.uniform((2,)), np.random.random(), tf.random.uniform(())
    keras.utils.set_random_seed(7)
    held = [np.array(v) for v in model.variables]
    metrics, compiled = model.get_metrics_result(), model.get_compile_config()
    for loss in (None, "mse", LOSS):
        y = CLASSES if loss != "mse" else np.eye(3)[CLASSES]
        one, same = (hessian_spectrum(model, X, y, k=2, loss=loss) for _ in range(2))
        np.testing.assert_array_equal(one.eigenvalues, same.eigenvalues)
    after = keras.random.uniform((2,)), np.random.random(), tf.random.uniform(())
    for a, b in zip([*before, *held], [*after, *model.variables], strict=True):
        np.testing.assert_array_equal(np.asarray(a), np.asarray(b))
    assert model.get_metrics_result() == metrics
    assert model.get_compile_config() == compiled


def diagonal_problem(outputs=1):
    """Loss (x² w²) / 2: a Hessian of 1, 4 and 16, once for each output."""
    layer = keras.layers.Dense(outputs, use_bias=False, kernel_initializer="ones")
    model = keras.Sequential([keras.Input((3,)), layer])
    x = np.diag(np.sqrt(1.5 * outputs) * np.array([1.0, 2.0, 4.0]))
    return model, x, np.zeros((3, outputs))


def test_gradient_descent_is_stable_up_to_the_largest_stable_rate():
    model, x, y = diagonal_problem()
    spectrum = hessian_spectrum(model, x, y, k=3, loss="mse")
    np.testing.assert_allclose(spectrum.eigenvalues, [16, 4, 1], rtol=1e-5)
    assert spectrum.largest_stable_rate == pytest.approx(2 / 16, rel=1e-5)
    batch = tf.data.Dataset.from_tensors((x, y)).repeat(100)
    for share, stable in ((0.99, True), (1.01, False)):
        model.set_weights([np.ones((3, 1))])
        model.compile(keras.optimizers.SGD(share * spectrum.largest_stable_rate), "mse")
        model.fit(batch, verbose=0)
        # The steepest error is multiplied by 1 - 2 * share each step: .98^100 or 1.02^100.
        error = abs(model.get_weights()[0][2, 0])
        assert error == pytest.approx(abs(1 - 2 * share) ** 100, rel=1e-2)
        assert (error < 1) == stable


def test_eigenvalues_that_several_directions_share():
    model, x, y = diagonal_problem(outputs=3)
    spectrum = hessian_spectrum(model, x, y, k=9, loss="mse")
    np.testing.assert_allclose(spectrum.eigenvalues, np.repeat([16, 4, 1], 3), rtol=1e-5)


def test_several_inputs_and_outputs():
    a, b = keras.Input((2,), name="a"), keras.Input((1,), name="b")
    hidden = keras.layers.Concatenate()([a, b])
    outputs = {
        "p": keras.layers.Dense(1, use_bias=False, name="p")(hidden),
        "q": keras.layers.Dense(1, use_bias=False, name="q")(hidden),
    }
    model = keras.Model({"a": a, "b": b}, outputs)
    model.compile(loss={"p": "mse", "q": "mse"}, loss_weights={"p": 1.0, "q": 3.0})
    x, y = {"a": X[:, :2], "b": X[:, 2:3]}, {"p": X[:, :1], "q": X[:, 1:2]}
    values = np.linalg.eigvalsh(2 * X[:, :3].T.astype("float64") @ X[:, :3] / len(X))
    expected = np.sort(np.concatenate([values, 3 * values]))[::-1]
    spectrum = hessian_spectrum(model, x, y, k=6)
    np.testing.assert_allclose(spectrum.eigenvalues, expected, rtol=1e-4)


@pytest.mark.parametrize("damping", [0.5, 2.0])
def test_newton_step(model, whole, damping):
    step = newton_step(model, X, CLASSES, damping=damping)
    hessian, gradient = whole
    expected = -np.linalg.solve(hessian + damping * np.eye(len(hessian)), gradient)
    np.testing.assert_allclose(np.concatenate([s.ravel() for s in step]), expected, atol=1e-5)
    assert [s.shape for s in step] == [tuple(v.shape) for v in model.trainable_variables]


def test_newton_step_refuses():
    model, x, y = diagonal_problem()
    x[2] = 0
    with pytest.raises(ValueError, match=r"singular.*Received: damping=0.0"):
        newton_step(model, x, y, loss="mse")
    with pytest.raises(ValueError, match=r"`damping` must be.*Received: damping=-1"):
        newton_step(model, x, y, loss="mse", damping=-1)
    wide = keras.Sequential([keras.Input((50,)), keras.layers.Dense(50)])
    with pytest.raises(ValueError, match="2,550"):
        newton_step(wide, np.zeros((2, 50)), np.zeros((2, 50)), loss="mse")


@pytest.mark.parametrize(
    ("argument", "value"),
    [
        ("k", 0),
        ("k", 1000),
        ("iterations", 0),
        ("iterations", 2),
        ("tolerance", -1),
        ("tolerance", "small"),
        ("batch_size", 1.5),
        ("seed", "one"),
    ],
)
def test_bad_arguments(model, argument, value):
    with pytest.raises(ValueError, match=f"Received: .*{argument}={value!r}"):
        hessian_spectrum(model, X, CLASSES, **{argument: value})


def test_bad_models_and_data(model):
    uncompiled, x, y = diagonal_problem()
    with pytest.raises(ValueError, match="not compiled"):
        hessian_spectrum(uncompiled, x, y, k=1)
    with pytest.raises(ValueError, match=r"must be a built `keras\.Model`"):
        hessian_spectrum(keras.Sequential([keras.layers.Dense(1)]), x, y, loss="mse")
    with pytest.raises(ValueError, match=r"arrays of \[19, 20\] rows"):
        hessian_spectrum(model, X, CLASSES[1:])
    with pytest.raises(ValueError, match="not finite"):
        hessian_spectrum(model, X * np.nan, CLASSES)
    total = keras.losses.MeanSquaredError(reduction="sum")
    with pytest.raises(ValueError, match="must be a mean over samples"):
        hessian_spectrum(uncompiled, x, y, loss=total, batch_size=2)
    spectrum = hessian_spectrum(uncompiled, x, y, k=1, loss=total)
    assert spectrum.highest == pytest.approx(3 * 16, rel=1e-5)
    rolled = keras.Sequential([keras.Input((4, 2)), keras.layers.LSTM(3)])
    with pytest.raises(ValueError, match="unroll=True"):
        hessian_spectrum(rolled, np.zeros((2, 4, 2)), np.zeros((2, 3)), loss="mse")
