"""Nielsen's initializers, delta-orthogonal and looks-linear: variances, exact maps, seeds."""

import itertools
import math

import keras
import numpy as np
import pytest

from trainwell.recipes.initializers import (
    DeltaOrthogonal,
    LooksLinear,
    NaiveNormal,
    NielsenNormal,
)
from trainwell.recipes.layers.crelu import CReLU
from trainwell.recipes.mlp import mlp

KINDS = [NielsenNormal, NaiveNormal, DeltaOrthogonal, LooksLinear]


def drawn(initializer, *shape, **options):
    return np.array(initializer(shape, **options))


# ---------------------------------------------------------------- Nielsen's


def assert_normal(values, variance):
    """Variance within the chi-squared bound; as much beyond two deviations as a normal has."""
    n = values.size
    squares = float((values.astype(np.float64) ** 2).sum()) / variance
    assert abs(squares - n) < 4 * math.sqrt(2 * n)
    tails = math.erfc(2 / math.sqrt(2))
    beyond = np.mean(np.abs(values) > 2 * math.sqrt(variance))
    assert abs(beyond - tails) < 4 * math.sqrt(tails * (1 - tails) / n)


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize(
    ("shape", "fan_in"), [((400, 50), 400), ((5, 5, 8, 100), 200), ((20_000,), 1)]
)
def test_nielsen_is_not_truncated_and_has_variance_1_over_fan_in(shape, fan_in, seed):
    assert_normal(drawn(NielsenNormal(seed), *shape), 1 / fan_in)


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("shape", [(400, 50), (5, 5, 8, 100), (20_000,)])
def test_naive_has_variance_1(shape, seed):
    assert_normal(drawn(NaiveNormal(seed), *shape), 1)


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize(("kind", "variance"), [(NaiveNormal, 501), (NielsenNormal, 1.5)])
def test_the_pre_activations_of_the_text(kind, variance, seed):
    # 1,000 inputs, half of them 1: sqrt(501) = 22.4 against sqrt(3/2) = 1.22
    layer = keras.layers.Dense(
        5000, kernel_initializer=kind(seed), bias_initializer=kind(seed + 100)
    )
    z = np.asarray(layer(np.arange(1000)[None] % 2))
    assert_normal(z, variance)


# ---------------------------------------------------------------- delta-orthogonal


def circular(x, kernel):
    """A convolution with circular padding: each tap a rolled copy of `x`, by NumPy."""
    window, out = kernel.shape[:-2], 0
    for tap in itertools.product(*map(range, window)):
        shift = [(size - 1) // 2 - t for t, size in zip(tap, window, strict=True)]
        out = out + np.roll(x, shift, axis=range(1, len(window) + 1)) @ kernel[tap]
    return out


@pytest.mark.parametrize(
    "shape", [(3, 4, 4), (4, 4, 7), (3, 3, 4, 4), (2, 5, 4, 6), (1, 1, 4, 4), (3, 2, 3, 4, 5)]
)
def test_delta_orthogonal_keeps_the_norm(shape):
    kernel = drawn(DeltaOrthogonal(seed=0), *shape)
    x = np.random.default_rng(0).normal(size=(2, *[6] * (len(shape) - 2), 4))
    out = circular(x, kernel)
    norms = [np.linalg.norm(part, axis=-1) for part in (x, out)]
    np.testing.assert_allclose(norms[1], norms[0], rtol=1e-5)
    # Keras with zero padding gives the same: nothing is read beyond the edge.
    kind = [keras.layers.Conv1D, keras.layers.Conv2D, keras.layers.Conv3D][len(shape) - 3]
    layer = kind(shape[-1], shape[:-2], padding="same", kernel_initializer=DeltaOrthogonal(seed=0))
    np.testing.assert_allclose(np.asarray(layer(x.astype(np.float32))), out, atol=1e-5)


def test_delta_orthogonal_has_one_tap():
    kernel = drawn(DeltaOrthogonal(gain=2.0, seed=0), 3, 5, 4, 6)
    center = kernel[1, 2].copy()
    np.testing.assert_allclose(center @ center.T, 4 * np.eye(4), atol=1e-5)
    kernel[1, 2] = 0
    assert not kernel.any()


@pytest.mark.parametrize("shape", [(6, 4), (4, 6), (5, 5)])
def test_delta_orthogonal_of_a_dense_layer_is_orthogonal(shape):
    q = drawn(DeltaOrthogonal(seed=0), *shape)
    square = q.T @ q if shape[0] > shape[1] else q @ q.T
    np.testing.assert_allclose(square, np.eye(min(shape)), atol=1e-6)


def test_a_hundred_convolutions_keep_the_norm():
    x = inputs = keras.Input((8, 8, 16))
    for i in range(100):
        x = keras.layers.Conv2D(16, 3, padding="same", kernel_initializer=DeltaOrthogonal(seed=i))(
            x
        )
    signal = np.random.default_rng(0).normal(size=(2, 8, 8, 16)).astype(np.float32)
    out = np.asarray(keras.Model(inputs, x)(signal))
    np.testing.assert_allclose(np.linalg.norm(out), np.linalg.norm(signal), rtol=1e-4)


# ---------------------------------------------------------------- looks-linear


def test_crelu_by_hand():
    x = np.float32([[-1.0, 2.0], [3.0, 0.0]])
    np.testing.assert_array_equal(np.asarray(CReLU()(x)), [[0, 2, 1, 0], [3, 0, 0, 0]])
    image = np.float32([[[[1.0]], [[-2.0]]]])  # channels first: (1, 2, 1, 1)
    both = np.asarray(CReLU(axis=1)(image))
    np.testing.assert_array_equal(both.ravel(), [1, 0, 0, 2])
    assert CReLU(axis=1)(keras.Input((None, 5, 3))).shape == (None, None, 5, 3)
    assert CReLU()(keras.Input((None, 3))).shape == (None, None, 6)


def test_looks_linear_is_a_mirrored_orthogonal_matrix():
    kernel = drawn(LooksLinear(seed=0), 8, 4)
    np.testing.assert_array_equal(kernel[:4], -kernel[4:])
    np.testing.assert_allclose(kernel[:4] @ kernel[:4].T, np.eye(4), atol=1e-6)
    narrowing = drawn(LooksLinear(gain=3.0, seed=0), 12, 4)[:6]
    np.testing.assert_allclose(narrowing.T @ narrowing, 9 * np.eye(4), atol=1e-5)


def looks_linear(depth, width):
    x = inputs = keras.Input((width,))
    x = keras.layers.Dense(width, kernel_initializer="orthogonal")(x)
    for i in range(depth - 1):
        x = keras.layers.Dense(width, kernel_initializer=LooksLinear(seed=i))(CReLU()(x))
    return keras.Model(inputs, x)


def test_a_hundred_layers_are_one_orthogonal_map():
    model = looks_linear(100, 16)
    product = np.eye(16)
    for layer in model.layers:
        if isinstance(layer, keras.layers.Dense):
            product = product @ layer.kernel.numpy()[:16].astype(np.float64)
    x = np.random.default_rng(0).normal(size=(32, 16)).astype(np.float32)
    np.testing.assert_allclose(np.asarray(model(x)), x @ product, atol=1e-4)
    np.testing.assert_allclose(product @ product.T, np.eye(16), atol=1e-4)


def test_looks_linear_convolutions_are_orthogonal_too():
    x = inputs = keras.Input((5, 5, 4))
    for i in range(20):
        x = keras.layers.Conv2D(4, 3, padding="same", kernel_initializer=LooksLinear(seed=i))(
            CReLU()(x)
        )
    signal = np.random.default_rng(0).normal(size=(3, 5, 5, 4)).astype(np.float32)
    out = np.asarray(keras.Model(inputs, x)(signal))
    np.testing.assert_allclose(
        np.linalg.norm(out, axis=-1), np.linalg.norm(signal, axis=-1), rtol=1e-4
    )


@pytest.mark.parametrize("jit_compile", [False, True])
def test_trains(jit_compile):
    model = looks_linear(10, 8)
    model.compile("sgd", "mse", jit_compile=jit_compile)
    x = np.random.default_rng(0).normal(size=(32, 8)).astype(np.float32)
    losses = model.fit(x, x[:, ::-1], epochs=5, verbose=0).history["loss"]
    assert losses[-1] < losses[0]


# ---------------------------------------------------------------- all of them


@pytest.mark.parametrize("kind", KINDS)
def test_seeds_as_kerass_own(kind):
    first, same, other = (drawn(kind(seed=seed), 6, 8) for seed in (1, 1, 2))
    np.testing.assert_array_equal(first, same)
    assert not np.isclose(first, other).any()
    one = kind()
    np.testing.assert_array_equal(drawn(one, 6, 8), drawn(one, 6, 8))
    assert not np.isclose(drawn(one, 6, 8), drawn(kind(), 6, 8)).any()
    moving = kind(seed=keras.random.SeedGenerator(1))
    assert not np.isclose(drawn(moving, 6, 8), drawn(moving, 6, 8)).any()
    values = []
    for _ in range(2):
        keras.utils.set_random_seed(5)
        values.append(drawn(kind(), 6, 8))
    np.testing.assert_array_equal(*values)


@pytest.mark.parametrize("seed", [None, 0])
@pytest.mark.parametrize("kind", [NielsenNormal, NaiveNormal, DeltaOrthogonal])
def test_builders_give_each_layer_its_own_values(kind, seed):
    model = mlp(6, [6, 6], 6, kernel_initializer=kind(), seed=seed)
    kernels = [layer.kernel.numpy() for layer in model.layers if hasattr(layer, "kernel")]
    for first, second in itertools.combinations(kernels, 2):
        assert not np.isclose(first, second).any()


@pytest.mark.parametrize("kind", KINDS)
def test_saved_in_a_model(kind, tmp_path):
    options = {"gain": 1.5} if issubclass(kind, DeltaOrthogonal) else {}
    layer = keras.layers.Dense(3, kernel_initializer=kind(seed=4, **options))
    model = keras.Sequential([keras.Input((4,)), layer, CReLU(axis=-1)])
    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    x = np.ones((2, 4), np.float32)
    np.testing.assert_array_equal(np.asarray(loaded(x)), np.asarray(model(x)))
    for copy in (loaded, keras.models.clone_model(model)):
        initializer = copy.layers[0].kernel_initializer
        assert type(initializer) is kind
        assert initializer.get_config() == {"seed": 4, **options}
        np.testing.assert_array_equal(drawn(initializer, 4, 3), layer.kernel_initializer((4, 3)))
    generator = kind(seed=keras.random.SeedGenerator(1))
    restored = kind.from_config(generator.get_config())
    np.testing.assert_array_equal(drawn(restored, 4, 3), drawn(kind(seed=1), 4, 3))


@pytest.mark.parametrize("kind", KINDS)
def test_keeps_the_dtype(kind):
    assert keras.backend.standardize_dtype(kind()((4, 4), dtype="float64").dtype) == "float64"
    assert keras.backend.standardize_dtype(kind()((4, 4)).dtype) == "float32"


def test_crelu_in_half_precision():
    out = CReLU(dtype="mixed_float16")(np.float32([[-1.0, 2.0]]))
    assert keras.backend.standardize_dtype(out.dtype) == "float16"


BAD = [
    (lambda: DeltaOrthogonal(gain=0.0), r"`gain` must be a positive number\. Received: gain=0\.0"),
    (lambda: LooksLinear(gain=math.nan), r"Received: gain=nan"),
    (lambda: LooksLinear(gain="1"), r"Received: gain='1'"),
    (lambda: DeltaOrthogonal()((5,)), r"is for kernels.*shape=\(5,\)\. Biases take 'zeros'"),
    (lambda: LooksLinear()((6,)), r"LooksLinear is for kernels"),
    (
        lambda: DeltaOrthogonal()((3, 3, 8, 4)),
        r"as many output as input.*\(3, 3, 8, 4\), 8 inputs and 4 outputs\. Use more filters",
    ),
    (lambda: LooksLinear()((3, 3, 12, 4)), r"6 inputs and 4 outputs"),
    (lambda: LooksLinear()((5, 4)), r"read a CReLU.*5 inputs\. The first layer"),
    (lambda: NielsenNormal(seed="a"), r"seed"),
    (lambda: CReLU(axis=0), r"other than 0.*axis=0\. Use -1"),
    (lambda: CReLU(axis=1.0), r"axis=1\.0"),
    (lambda: CReLU(axis=True), r"axis=True"),
    (lambda: CReLU(axis=2)(np.ones((2, 3))), r"axis=2, an input of shape \(2, 3\)"),
    (lambda: CReLU(axis=-2)(np.ones((2, 3))), r"axis=-2"),
]


@pytest.mark.parametrize(("make", "message"), BAD)
def test_bad_arguments(make, message):
    with pytest.raises(ValueError, match=message):
        make()
