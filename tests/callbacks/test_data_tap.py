"""The data's description as the training batches tell it, against that of the arrays."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from trainwell.callbacks._data_description import describe_arrays
from trainwell.callbacks._data_tap import DataTap

layers = keras.layers
RANDOM = np.random.default_rng(0)
X = (RANDOM.normal(size=(40, 3)) * [1, 10, 100]).astype("float32")
Y = RANDOM.integers(0, 4, 40)


class Tapped(keras.callbacks.Callback):
    """What a doctor does with a tap."""

    def __init__(self):
        super().__init__()
        self.tap = DataTap()

    def on_train_begin(self, logs=None):
        self.model.train_function = None
        self.tap.attach(self.model)
        self.model.make_train_function(force=True)

    def on_test_begin(self, logs=None):
        self.tap.paused = True

    def on_test_end(self, logs=None):
        self.tap.paused = False

    def on_train_end(self, logs=None):
        self.tap.detach()


def classifier(**options):
    keras.utils.set_random_seed(0)
    model = keras.Sequential([keras.Input((3,)), layers.Dense(4, "softmax")])
    model.compile("sgd", "sparse_categorical_crossentropy", **options)
    return model


def described(model, x, y, loss, **options):
    tapped = Tapped()
    options = {"batch_size": 16, "shuffle": False, "verbose": 0} | options
    model.fit(x, y, callbacks=[tapped], **options)
    return tapped.tap.describe(loss), tapped.tap


def assert_same(seen, expected):
    assert seen.keys() == expected.keys()
    for name, value in expected.items():
        if isinstance(value, dict):
            assert_same(seen[name], value)
        elif isinstance(value, list) and value and isinstance(value[0], dict):
            assert len(seen[name]) == len(value)
            for one, other in zip(seen[name], value, strict=True):
                assert_same(one, other)
        elif isinstance(value, (float, list)):
            np.testing.assert_allclose(seen[name], value, rtol=1e-6, err_msg=name)
        else:
            assert seen[name] == value, name


@pytest.mark.parametrize("options", [{}, {"jit_compile": True}, {"run_eagerly": True}])
def test_as_the_arrays_are_described(options):
    loss = "sparse_categorical_crossentropy"
    seen, _ = described(classifier(**options), X, Y, loss)
    expected = describe_arrays(X, Y, loss)
    outputs = seen.pop("outputs")
    expected.pop("outputs")
    assert_same(seen, expected)
    if not options.get("jit_compile"):  # under XLA reading them could change how it rounds
        first = classifier().predict(X[:16], verbose=0)
        moments = [first.min(), first.max(), first.mean(), first.std()]
        np.testing.assert_allclose(list(outputs[0].values()), moments, rtol=1e-5)


@pytest.mark.parametrize(
    ("options", "weighted"),
    [({}, False), ({"class_weight": {0: 1.0, 1: 20.0}}, True), ({"sample_weight": 32}, True)],
)
def test_whether_samples_or_classes_have_weights(options, weighted):
    x, y = np.ones((32, 3), "float32"), np.arange(32) % 2
    if "sample_weight" in options:
        options = {"sample_weight": np.ones(options["sample_weight"])}
    seen, _ = described(classifier(), x, y, "sparse_categorical_crossentropy", **options)
    assert seen["weighted"] is weighted


def test_dicts_of_inputs_and_one_hot_targets():
    left, right = keras.Input((2,), name="left"), keras.Input((3,), name="right")
    joined = layers.Dense(4, "softmax")(layers.Concatenate()([left, right]))
    model = keras.Model({"left": left, "right": right}, joined)
    model.compile("sgd", "categorical_crossentropy")
    data, targets = {"left": X[:, :2], "right": X}, np.eye(4, dtype="float32")[Y]
    seen, _ = described(model, data, targets, "categorical_crossentropy")
    assert [one["name"] for one in seen["inputs"]] == ["left", "right"]
    assert_same(seen | {"outputs": []}, describe_arrays(data, targets, "categorical_crossentropy"))
    assert seen["targets"][0]["one_hot"]


def test_sequences_of_varying_length_have_their_features_described():
    model = keras.Sequential(
        [keras.Input((None, 3)), layers.GlobalAveragePooling1D(), layers.Dense(1)]
    )
    model.compile("sgd", "mse")
    batches = [(X[:12].reshape(6, 2, 3), X[:6, :1]), (X[12:24].reshape(3, 4, 3), X[6:9, :1])]
    spec = (tf.TensorSpec((None, None, 3)), tf.TensorSpec((None, 1)))
    data = tf.data.Dataset.from_generator(lambda: iter(batches), output_signature=spec)
    data = data.apply(tf.data.experimental.assert_cardinality(2))
    seen, _ = described(model, data, None, "mse", batch_size=None, shuffle=None)
    assert seen["inputs"][0]["shape"] == [None, 3]
    assert seen["samples"] == 9
    np.testing.assert_allclose(seen["inputs"][0]["mean"], X[:24].mean(), rtol=1e-5)
    assert seen["targets"][0]["shape"] == [1]


def test_text_is_named_and_not_described():
    lookup = layers.StringLookup(vocabulary=["a", "b"], output_mode="one_hot")
    model = keras.Sequential([keras.Input((1,), dtype="string"), lookup, layers.Dense(1)])
    model.compile("sgd", "mse")
    numbers = np.arange(8, dtype="float32")[:, None]
    data = tf.data.Dataset.from_tensor_slices((np.array([["a"], ["b"]] * 4), numbers)).batch(4)
    seen, _ = described(model, data, None, "mse", batch_size=None, shuffle=None)
    assert seen["samples"] == 8
    assert [one["mean"] for one in seen["inputs"]] == [None]
    assert seen["targets"][0]["mean"] == 3.5


def test_not_finite_values_are_counted():
    x = X.copy()
    x[3, 1], x[5, 2] = np.nan, np.inf
    seen, _ = described(classifier(), x, Y, None)
    assert seen["inputs"][0]["non_finite"] == 2


def test_validation_leaves_no_trace():
    seen, _ = described(classifier(), X, Y, None, validation_data=(X * 1e6, Y), epochs=2)
    assert seen["inputs"][0]["max"] == X.max()
    assert seen["samples"] == 80


@pytest.mark.parametrize("jit", [False, True])
def test_more_than_it_holds(monkeypatch, jit):
    monkeypatch.setattr("trainwell.callbacks._data_tap._NUMBERS", 96)
    monkeypatch.setattr("trainwell.callbacks._data_tap._NUMBERS_IN_XLA", 96)
    seen, _ = described(classifier(jit_compile=jit), X, Y, None, batch_size=10)
    assert seen["samples"] == 40
    # 32 rows; the fourth batch of ten goes round to the first places.
    kept = np.concatenate([X[32:], X[8:32]])
    np.testing.assert_allclose(seen["inputs"][0]["mean"], kept.mean(), rtol=1e-5)
    assert seen["targets"][0]["distinct"] == 4


def test_nothing_stays_on_the_model():
    model = classifier()
    described(model, X, Y, None)
    assert "compute_loss" not in vars(model)


def test_after_an_exception_it_is_inert():
    model, tapped = classifier(), Tapped()

    class Broken(keras.callbacks.Callback):
        def on_train_batch_end(self, batch, logs=None):
            raise RuntimeError("cut off")

    with pytest.raises(RuntimeError, match="cut off"):
        model.fit(X, Y, batch_size=16, verbose=0, callbacks=[tapped, Broken()])
    assert tapped.tap.samples == 16
    model.make_train_function(force=True)
    model.fit(X, Y, verbose=0)
    assert tapped.tap.samples == 16
    tapped.tap.detach()
    assert "compute_loss" not in vars(model)


def test_a_loss_of_ones_own_without_the_training_argument():
    class Own(keras.Model):
        def __init__(self):
            super().__init__()
            self.dense = layers.Dense(4, "softmax")

        def call(self, inputs):
            return self.dense(inputs)

        def compute_loss(self, x=None, y=None, y_pred=None, sample_weight=None):
            return super().compute_loss(x, y, y_pred, sample_weight) * 2.0

    model = Own()
    model.compile("sgd", "sparse_categorical_crossentropy")
    seen, _ = described(model, X, Y, None)
    assert seen["samples"] == 40
