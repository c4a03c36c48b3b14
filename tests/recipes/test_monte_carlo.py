"""predict_mc against draws one by one and against closed forms; the layers; the state left."""

import gc
import math
import weakref

import keras
import numpy as np
import pytest

from trainwell.recipes._arguments import layer_seed
from trainwell.recipes.layers.monte_carlo_dropout import MCAlphaDropout, MCDropout
from trainwell.recipes.mlp import mlp
from trainwell.recipes.monte_carlo import predict_mc

layers = keras.layers
X = np.random.default_rng(0).normal(size=(7, 5)).astype(np.float32)


def only(layer, shape=(5,)):
    return keras.Sequential([keras.Input(shape), layer])


def state(model):
    return [np.array(variable.numpy()) for variable in model.variables]


# ---------------------------------------------------------------- the numbers


@pytest.mark.parametrize("batch_size", [1, 4, 32, 50, 10_000])
@pytest.mark.parametrize("kind", [MCDropout, layers.Dropout])
def test_moments_of_dropout(kind, batch_size):
    """x / (1 - rate) with probability 1 - rate: mean x, deviation x sqrt(rate / (1 - rate))."""
    samples, rate = 400, 0.2
    mean, deviation = predict_mc(only(kind(rate)), X, samples, batch_size, seed=1)
    sigma = np.abs(X) * math.sqrt(rate / (1 - rate))
    assert np.abs((mean - X) / sigma).max() < 5 / math.sqrt(samples)
    # Two values only: the mean tells how many draws there were of each, hence the deviation.
    kept = mean / X * (1 - rate)
    np.testing.assert_allclose(kept * samples, np.round(kept * samples), atol=0.01)
    by_hand = np.abs(X) / (1 - rate) * np.sqrt(kept * (1 - kept))
    np.testing.assert_allclose(deviation, by_hand, rtol=1e-4)


@pytest.mark.parametrize(("samples", "batch_size"), [(1, 3), (2, 1), (7, 3), (10, 4), (33, 7)])
def test_exactly_as_many_samples_as_asked(samples, batch_size):
    mean, deviation = predict_mc(only(MCDropout(0.5)), np.ones((7, 5)), samples, batch_size)
    counts = mean / 2 * samples
    np.testing.assert_allclose(counts, np.round(counts), atol=1e-4)
    kept = mean / 2
    np.testing.assert_allclose(deviation, 2 * np.sqrt(kept * (1 - kept)), atol=1e-5)


def test_the_same_as_draws_one_by_one():
    model = mlp(5, [16, 16], 3, dropout=0.3, seed=0)
    mean, deviation = predict_mc(model, X, 10, batch_size=7, seed=3)
    # A chunk of all inputs is one pass a sample: the state moves on as in calls by hand.
    for i, variable in enumerate([v for v in model.variables if "seed_generator" in v.path]):
        variable.assign([layer_seed(3, str(i)), 0])
    draws = np.stack([np.asarray(model(X, training=True)) for _ in range(10)])
    np.testing.assert_allclose(mean, draws.mean(axis=0), atol=1e-6)
    np.testing.assert_allclose(deviation, draws.std(axis=0), atol=1e-6)


def test_no_cancellation_where_the_deviation_is_small():
    """Outputs of 10,000 with deviations of 0.01: the mean of squares would lose them."""
    model = keras.Sequential(
        [keras.Input((5,)), layers.Dropout(0.5), layers.Rescaling(0.01, offset=1e4)]
    )
    mean, deviation = predict_mc(model, np.ones((3, 5)), 256, seed=0)
    # float32 has steps of 0.001 here
    np.testing.assert_allclose(deviation, 0.01, rtol=0.25)
    np.testing.assert_allclose(mean, 1e4 + 0.01, atol=0.005)


def test_rows_draw_masks_of_their_own():
    same = np.ones((500, 5), np.float32)
    mean, _ = predict_mc(only(layers.Dropout(0.5)), same, 1, 500, seed=0)
    share = np.mean(mean[:, 0] > 0)
    assert abs(share - 0.5) < 4 * math.sqrt(0.25 / 500)


def test_layers_draw_masks_of_their_own():
    x = inputs = keras.Input((400,))
    model = keras.Model(inputs, [layers.Dropout(0.5, seed=1)(x), layers.Dropout(0.5, seed=1)(x)])
    (one, two), _ = predict_mc(model, np.ones((1, 400)), 1, seed=0)
    assert abs(np.mean(one == two) - 0.5) < 4 * math.sqrt(0.25 / 400)


# ---------------------------------------------------------------- what is active


def test_batch_normalization_stays_in_inference():
    model = mlp(5, [8], 3, normalization="batch", dropout=0.5, seed=0)
    model(X * 9, training=True)
    before = state(model)
    one_by_one = [predict_mc(model, row[None], 4, seed=0).mean for row in X]
    assert np.isfinite(one_by_one).all()
    for variable, old in zip(model.variables, before, strict=True):
        np.testing.assert_array_equal(variable.numpy(), old)
    # With rate 0 nothing is left of training.
    for layer in model.layers:
        if isinstance(layer, layers_with_rate):
            layer.rate = 0.0
    mean, deviation = predict_mc(model, X, 3)
    np.testing.assert_allclose(mean, model.predict(X, verbose=0), atol=1e-6)
    np.testing.assert_allclose(deviation, 0, atol=1e-6)


layers_with_rate = (layers.Dropout, layers.AlphaDropout)


class BooksMCDropout(layers.Dropout):
    """As Géron's chapter 11 writes it."""

    def call(self, inputs):
        return super().call(inputs, training=True)


@pytest.mark.parametrize(
    ("layer", "shape"),
    [
        (layers.AlphaDropout(0.3), (5,)),
        (layers.GaussianDropout(0.3), (5,)),
        (layers.SpatialDropout1D(0.3), (4, 5)),
        (MCAlphaDropout(0.3), (5,)),
        (BooksMCDropout(0.3), (5,)),
        (layers.LSTM(4, dropout=0.3), (4, 5)),
        (layers.GRU(4, recurrent_dropout=0.3), (4, 5)),
        (layers.Bidirectional(layers.SimpleRNN(4, dropout=0.3)), (4, 5)),
        (layers.RNN([layers.LSTMCell(4, dropout=0.3), layers.LSTMCell(3)]), (4, 5)),
        (keras.Sequential([layers.Dropout(0.3)]), (5,)),
    ],
)
def test_every_kind_of_dropout(layer, shape):
    x = np.random.default_rng(1).normal(size=(3, *shape)).astype(np.float32)
    model = only(layer, shape)
    plain = model.predict(x, verbose=0)
    mean, deviation = predict_mc(model, x, 5, seed=0)
    assert mean.shape == deviation.shape == plain.shape
    assert (deviation > 1e-4).any(axis=tuple(range(1, plain.ndim))).all()


def test_dropout_of_attention():
    inputs = keras.Input((4, 5))
    attention = layers.MultiHeadAttention(2, 3, dropout=0.5)
    model = keras.Model(inputs, attention(inputs, inputs))
    x = np.random.default_rng(1).normal(size=(3, 4, 5)).astype(np.float32)
    assert (predict_mc(model, x, 5).deviation > 1e-5).all()


def test_noise_is_no_dropout():
    model = keras.Sequential([keras.Input((5,)), layers.GaussianNoise(1.0), layers.Dropout(0.0)])
    mean, deviation = predict_mc(model, X, 3)
    np.testing.assert_allclose(mean, X, rtol=1e-6)
    np.testing.assert_allclose(deviation, 0, atol=1e-6)


# ---------------------------------------------------------------- inputs and outputs


def test_several_inputs_and_outputs():
    a, b = keras.Input((5,), name="a"), keras.Input((2, 3), name="b")
    x = layers.Dropout(0.5)(layers.Concatenate()([a, layers.Flatten()(b)]))
    outputs = {"sum": layers.Dense(2)(x), "sequence": layers.Reshape((11, 1))(x)}
    model = keras.Model({"a": a, "b": b}, outputs)
    given = {"a": X, "b": np.ones((7, 2, 3))}
    mean, deviation = predict_mc(model, given, 9, 4, seed=0)
    plain = model.predict(given, verbose=0)
    for part in (mean, deviation):
        assert {k: v.shape for k, v in part.items()} == {k: v.shape for k, v in plain.items()}
    by_list = keras.Model([a, b], [x, x])
    mean, _ = predict_mc(by_list, [X, np.ones((7, 2, 3))], 3)
    assert isinstance(mean, list)
    assert [part.shape for part in mean] == [(7, 11)] * 2


def test_sequences_of_any_length_and_integers():
    model = keras.Sequential(
        [keras.Input((None,), dtype="int32"), layers.Embedding(9, 4), layers.Dropout(0.5)]
    )
    for length in (3, 5, 3):
        mean, _ = predict_mc(model, np.zeros((2, length), int), 4)
        assert mean.shape == (2, length, 4)
    assert predict_mc(only(MCDropout(0.5)), np.ones((2, 5), np.uint8), 4).mean.shape == (2, 5)


def test_an_unbuilt_subclassed_model_and_an_eager_one():
    class Model(keras.Model):
        def __init__(self):
            super().__init__()
            self.drop, self.dense = layers.Dropout(0.5), layers.Dense(2)

        def call(self, x):
            return self.dense(self.drop(x))

    model = Model()
    first = predict_mc(model, X, 6, seed=0)
    assert (first.deviation > 0).all()
    model.compile(run_eagerly=True)
    eager = predict_mc(model, X, 6, seed=0)
    np.testing.assert_allclose(eager.mean, first.mean, atol=1e-6)
    np.testing.assert_allclose(eager.deviation, first.deviation, atol=1e-6)


def test_jit():
    """XLA draws other numbers from the same seed: of the same distribution."""
    model = only(layers.Dropout(0.2))
    model.compile(jit_compile=True)
    mean, deviation = predict_mc(model, X, 400, 64, seed=1)
    assert np.abs((mean - X) / X).max() < 5 * 0.5 / math.sqrt(400)
    kept = mean / X * 0.8
    np.testing.assert_allclose(kept * 400, np.round(kept * 400), atol=0.01)
    np.testing.assert_allclose(deviation, np.abs(X) / 0.8 * np.sqrt(kept * (1 - kept)), rtol=1e-4)
    np.testing.assert_array_equal(predict_mc(model, X, 400, 64, seed=1).mean, mean)


def test_mixed_precision_and_float64():
    for dtype, expected in [("mixed_float16", "float32"), ("float64", "float64")]:
        model = only(MCDropout(0.5, dtype=dtype))
        mean, deviation = predict_mc(model, X, 50)
        assert mean.dtype == deviation.dtype == expected
        assert np.isfinite(deviation).all()


# ---------------------------------------------------------------- seeds, state, cache


def test_seeds():
    model = mlp(5, [16], 3, dropout=0.3, seed=0)
    one, same, other = (predict_mc(model, X, 8, seed=seed) for seed in (1, 1, 2))
    np.testing.assert_array_equal(one, same)
    assert not np.isclose(one.deviation, other.deviation).all()
    assert not np.isclose(predict_mc(model, X, 8).mean, predict_mc(model, X, 8).mean).all()
    drawn = []
    for _ in range(2):
        keras.utils.set_random_seed(4)
        drawn.append(predict_mc(model, X, 8))
    np.testing.assert_array_equal(*drawn)


@pytest.mark.parametrize("kind", [MCDropout, layers.Dropout])
def test_the_model_comes_back_as_it_was(kind):
    model = keras.Sequential([keras.Input((5,)), layers.Dense(4), kind(0.5), layers.Dense(2)])
    model.compile("adam", "mse")
    model.fit(X, X[:, :2], verbose=0)
    before, attributes = state(model), [set(vars(layer)) for layer in model.layers]
    optimizer = [variable.numpy() for variable in model.optimizer.variables]
    predict_mc(model, X, 5)
    for old, new in zip(before, state(model), strict=True):
        np.testing.assert_array_equal(old, new)
    for old, new in zip(optimizer, model.optimizer.variables, strict=True):
        np.testing.assert_array_equal(old, new.numpy())
    assert [set(vars(layer)) for layer in model.layers] == attributes
    assert "call" not in vars(model.layers[1])


def test_and_after_an_error():
    model = mlp(5, [4], 3, dropout=0.5)
    before = state(model)
    with pytest.raises(ValueError, match="shape"):
        predict_mc(model, X[:, :3])
    for old, new in zip(before, state(model), strict=True):
        np.testing.assert_array_equal(old, new)
    assert not any("call" in vars(layer) for layer in model.layers)


def test_training_goes_on_and_changes_what_is_drawn():
    model = mlp(5, [4], 3, dropout=0.5, seed=0)
    before = predict_mc(model, X, 5, seed=0)
    model.get_layer("output").kernel.assign(np.zeros((4, 3)))
    np.testing.assert_allclose(predict_mc(model, X, 5, seed=0).mean, 1 / 3, rtol=1e-6)
    assert not np.allclose(before.mean, 1 / 3)


def test_another_rate_is_seen():
    model = only(layers.Dropout(0.5))
    predict_mc(model, X, 2)
    model.layers[0].rate = 0.9
    assert predict_mc(model, np.ones((1, 5)), 200).mean.max() < 2.5
    assert predict_mc(model, np.ones((1, 5)), 20).deviation.max() > 2


def test_another_layer_is_seen():
    model = keras.Sequential([keras.Input((5,)), layers.Dropout(0.5), layers.Dense(2)])
    predict_mc(model, X, 2)
    model.pop()
    model.add(layers.Dense(2, kernel_initializer="zeros"))
    assert not predict_mc(model, X, 2).mean.any()


def test_traced_once_for_all_sizes():
    calls = []

    class Counting(layers.Layer):
        def call(self, x):
            calls.append(x.shape)
            return x

    model = keras.Sequential([keras.Input((5,)), layers.Dropout(0.5), Counting()])
    calls.clear()
    for rows, samples, batch_size in [(7, 5, 3), (1, 100, 32), (64, 3, 64), (2, 2, 1)]:
        predict_mc(model, np.ones((rows, 5)), samples, batch_size)
    assert len(calls) == 1


def test_the_cache_keeps_no_model():
    model = mlp(5, [4], 3, dropout=0.5)
    predict_mc(model, X, 2)
    reference = weakref.ref(model)
    del model
    keras.backend.clear_session()
    gc.collect()
    assert reference() is None


# ---------------------------------------------------------------- the layers


@pytest.mark.parametrize("kind", [MCDropout, MCAlphaDropout])
def test_the_layers_drop_in_inference(kind):
    x = np.ones((50, 40), np.float32)
    layer = kind(0.3, seed=0)
    for options in ({}, {"training": False}, {"training": True}):
        dropped = np.asarray(layer(x, **options)) != np.asarray(layer(x)).max()
        assert abs(dropped.mean() - 0.3) < 4 * math.sqrt(0.3 * 0.7 / x.size)
    np.testing.assert_array_equal(np.asarray(kind(0.0)(x)), x)


def test_alpha_dropout_keeps_mean_and_variance():
    x = np.random.default_rng(0).normal(size=(200, 500)).astype(np.float32)
    out = np.asarray(MCAlphaDropout(0.2, seed=0)(x))
    assert out.mean() == pytest.approx(0, abs=5 / math.sqrt(x.size))
    assert out.var() == pytest.approx(1, abs=0.03)


@pytest.mark.parametrize(("kind", "jit_compile"), [(MCDropout, True), (MCAlphaDropout, False)])
def test_the_layers_train_save_and_load(kind, jit_compile, tmp_path):
    model = keras.Sequential(
        [keras.Input((5,)), kind(0.5, seed=3, name="mc"), layers.Dense(2, "softmax")]
    )
    model.compile("sgd", "sparse_categorical_crossentropy", jit_compile=jit_compile)
    model.fit(X, np.arange(7) % 2, verbose=0)
    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    layer = loaded.get_layer("mc")
    assert type(layer) is kind
    assert (layer.rate, layer.seed) == (0.5, 3)
    # Each call draws anew, and Keras does not save how far a generator has come: by seed only.
    np.testing.assert_array_equal(predict_mc(loaded, X, 4, seed=0), predict_mc(model, X, 4, seed=0))
    assert type(keras.models.clone_model(model).get_layer("mc")) is kind


# ---------------------------------------------------------------- bad arguments

BAD = [
    ({"model": mlp(5, [4], 3)}, r"`model` must have dropout.*every sample would be the same"),
    ({"model": "model"}, r"`model` must be a keras\.Model\. Received: model='model'"),
    ({"x": X[:0]}, r"with n >= 1.*shape \(0, 5\)"),
    ({"x": 3.0}, r"of shape \(\)\. From a data set"),
    ({"x": [X, X[:3]]}, r"of one n\. Received: x=list of arrays of shape \(7, 5\), \(3, 5\)"),
    ({"x": []}, r"arrays of shape none"),
    ({"samples": 0}, r"`samples` must be a positive integer\. Received: samples=0"),
    ({"samples": 2.5}, r"samples=2\.5"),
    ({"batch_size": -1}, r"`batch_size` must be a positive integer"),
    ({"seed": "a"}, r"`seed` must be an integer or None"),
]


@pytest.mark.parametrize(("arguments", "message"), BAD)
def test_bad_arguments(arguments, message):
    with pytest.raises(ValueError, match=message):
        predict_mc(**{"model": only(MCDropout(0.5)), "x": X, **arguments})
