import json

import keras
import pytest

from trainwell.callbacks._network import describe_network

layers = keras.layers


def described(model, **params):
    network = describe_network(model, params)
    assert json.loads(json.dumps(network)) == network
    return network


def edges(network):
    """`{name: names of what feeds it}`."""
    names = [layer["path"].rpartition("/")[2] for layer in network["layers"]]
    return {
        name: None if layer["inputs"] is None else [names[at] for at in layer["inputs"]]
        for name, layer in zip(names, network["layers"], strict=True)
    }


def outputs(network):
    return [layer["path"] for layer in network["layers"] if layer["output"]]


def test_a_sequential_model_is_a_chain():
    model = keras.Sequential(
        [
            keras.Input((8, 8, 1)),
            layers.Conv2D(4, 3, kernel_initializer="he_normal", name="conv"),
            layers.BatchNormalization(name="norm"),
            layers.ReLU(name="relu"),
            layers.Flatten(name="flat"),
            layers.Dropout(0.25, name="drop"),
            layers.Dense(3, "softmax", use_bias=False, name="out"),
        ],
        name="net",
    )
    network = described(model)
    conv, norm, relu, flat, drop, out = network["layers"]
    assert edges(network) == {
        "conv": [], "norm": ["conv"], "relu": ["norm"], "flat": ["relu"], "drop": ["flat"],
        "out": ["drop"],
    }  # fmt: skip
    assert outputs(network) == ["out"]
    assert conv["kernel_shape"] == [3, 3, 1, 4] and conv["output_shape"] == [None, 6, 6, 4]
    assert (conv["activation"], conv["units"], conv["parameters"]) == ("linear", 4, 40)
    assert conv["initializer"]["class"] == "HeNormal"
    assert conv["bias_initializer"] == {"class": "Zeros"} and out["bias_initializer"] is None
    assert [one["normalizes"] for one in network["layers"]] == [False, True] + [False] * 4
    assert (norm["activation"], relu["activation"], flat["activation"]) == (None, "relu", None)
    assert drop["rate"] == 0.25 and conv["rate"] is None and out["activation"] == "softmax"


def test_connections_of_a_functional_model():
    x = keras.Input((4,), name="x")
    hidden = layers.Dense(4, "tanh", name="hidden")(x)
    added = layers.Add(name="added")([x, hidden])
    left = layers.Dense(2, name="left")(added)
    right = layers.Dense(1, name="right")(keras.ops.relu(added) * 2.0)
    network = described(keras.Model(x, [left, right], name="net"))
    found = edges(network)
    assert found["hidden"] == ["x"] and sorted(found["added"]) == ["hidden", "x"]
    assert found["left"] == ["added"]
    (scaled,) = found["right"]
    (activated,) = found[scaled]
    assert found[activated] == ["added"]
    by_name = {layer["path"]: layer for layer in network["layers"]}
    assert by_name[activated]["activation"] == "relu" and by_name[activated]["parameters"] == 0
    assert by_name["added"]["merges"] and not by_name[scaled]["merges"]
    assert sorted(outputs(network)) == ["left", "right"]


def test_operations_on_two_tensors_merge():
    x = keras.Input((4,))
    network = described(keras.Model(x, layers.Dense(4)(x) + x))
    assert network["layers"][-1]["merges"] and len(network["layers"][-1]["inputs"]) == 2


def test_nested_models_are_opened():
    inner_in = keras.Input((4,), name="inner_in")
    inner = keras.Model(inner_in, layers.Dense(3, name="inner_dense")(inner_in), name="inner")
    tower = keras.Sequential([layers.Dense(2, name="first"), layers.Dense(2, name="second")])
    x = keras.Input((4,), name="x")
    model = keras.Model(x, layers.Dense(1, name="out")(tower(inner(x))), name="net")
    assert edges(described(model)) == {
        "x": [],
        "inner_in": ["x"],
        "inner_dense": ["inner_in"],
        "first": ["inner_dense"],
        "second": ["first"],
        "out": ["second"],
    }


def test_a_nested_model_of_two_inputs_keeps_them_apart():
    a, b = keras.Input((2,), name="a"), keras.Input((3,), name="b")
    inner = keras.Model([a, b], layers.Concatenate(name="joined")([a, b]), name="inner")
    x, y = keras.Input((2,), name="x"), keras.Input((3,), name="y")
    found = edges(described(keras.Model([x, y], inner([x, y]))))
    assert described(keras.Model([y, x], inner([x, y])))["inputs"] == ["y", "x"]
    assert found["a"] == ["x"] and found["b"] == ["y"] and sorted(found["joined"]) == ["a", "b"]


def test_a_shared_layer_stands_once_with_all_that_feeds_it():
    x, y = keras.Input((4,), name="x"), keras.Input((4,), name="y")
    shared = layers.Dense(3, name="shared")
    joined = layers.Concatenate(name="joined")([shared(x), shared(y)])
    found = edges(described(keras.Model([x, y], joined)))
    assert sorted(found["shared"]) == ["x", "y"] and found["joined"] == ["shared"]


def test_a_layer_that_another_model_has_used_belongs_to_this_one():
    x, shared = keras.Input((4,), name="x"), layers.Dense(3, name="shared")
    keras.Model(x, layers.Dense(1, name="elsewhere")(shared(x)))
    y = keras.Input((4,), name="y")
    assert edges(described(keras.Model(y, shared(y)))) == {"y": [], "shared": ["y"]}


class Own(keras.Model):
    def __init__(self):
        super().__init__(name="own")
        self.first, self.last = layers.Dense(3, "relu"), layers.Dense(1)

    def call(self, x):
        return self.last(self.first(x))


def test_a_subclassed_models_connections_are_unknown():
    model = Own()
    network = described(model)
    assert [layer["inputs"] for layer in network["layers"]] == [None, None]
    assert [layer["output"] for layer in network["layers"]] == [None, None]
    assert network["layers"][0]["kernel_shape"] is None and network["parameters"] is None
    model(keras.ops.ones((1, 2)))
    assert described(model)["layers"][0]["kernel_shape"] == [2, 3]


class Unwritable(layers.Layer):
    def __init__(self, thing):
        super().__init__()
        self.thing = thing

    def call(self, x):
        return x


def test_a_layer_that_cannot_be_written_down_leaves_connections_unknown():
    x = keras.Input((4,))
    network = described(keras.Model(x, layers.Dense(2)(Unwritable(object())(x))))
    assert {layer["inputs"] is None for layer in network["layers"]} == {True}


def test_a_functional_subclass_has_its_connections():
    class Named(keras.Model):
        def __init__(self, width):
            x = keras.Input((4,), name="x")
            super().__init__(x, layers.Dense(width, name="only")(x))

    assert edges(described(Named(3))) == {"x": [], "only": ["x"]}


def test_wrapped_and_recurrent_layers():
    model = keras.Sequential(
        [
            keras.Input((5, 4)),
            layers.TimeDistributed(layers.Dense(3, "relu", kernel_initializer="he_normal")),
            layers.Bidirectional(layers.LSTM(2, dropout=0.1)),
            layers.Dense(1, kernel_initializer=keras.initializers.RandomNormal(stddev=0.01)),
        ]
    )
    first, second, last = described(model)["layers"]
    assert (first["class"], first["wraps"]) == ("TimeDistributed", "Dense")
    assert (first["activation"], first["kernel_shape"]) == ("relu", [4, 3])
    assert (second["wraps"], second["activation"], second["rate"]) == ("LSTM", "tanh", 0.1)
    assert second["kernel_shape"] == [3, 8] and last["wraps"] is None
    assert last["initializer"] == {"class": "RandomNormal", "mean": 0.0, "stddev": 0.01}


class Quartic(keras.regularizers.Regularizer):
    def __call__(self, x):
        return keras.ops.sum(x**4)


@pytest.mark.parametrize(
    ("options", "strengths", "penalized"),
    [
        ({}, None, False),
        ({"kernel_regularizer": "l2"}, {"l1": 0.0, "l2": 0.01}, False),
        ({"kernel_regularizer": keras.regularizers.L1(0.25)}, {"l1": 0.25, "l2": 0.0}, False),
        ({"kernel_regularizer": keras.regularizers.L1L2(0.5, 2)}, {"l1": 0.5, "l2": 2.0}, False),
        ({"kernel_regularizer": Quartic()}, {"l1": None, "l2": None}, False),
        ({"bias_regularizer": "l2"}, None, True),
        ({"activity_regularizer": "l1"}, None, True),
    ],
)
def test_regularizers_tell_their_strengths(options, strengths, penalized):
    model = keras.Sequential([keras.Input((2,)), layers.Dense(1, **options)])
    (only,) = described(model)["layers"]
    assert (only["kernel_regularizer"], only["penalized"]) == (strengths, penalized)


def test_what_penalizes_other_weights_than_the_kernel():
    model = keras.Sequential(
        [
            keras.Input((5,)),
            layers.Embedding(7, 3, embeddings_regularizer="l2"),
            layers.LSTM(2, recurrent_regularizer="l2"),
            layers.ActivityRegularization(l2=0.1),
            layers.Dense(1),
        ]
    )
    assert [layer["penalized"] for layer in described(model)["layers"]] == [True] * 3 + [False]


def test_lambdas_are_described_without_a_warning(recwarn):
    model = keras.Sequential([keras.Input((2,)), layers.Lambda(lambda x: 2 * x), layers.Dense(1)])
    model.compile("sgd", lambda y, p: keras.ops.mean(p))
    x = keras.Input((2,))
    described(keras.Model(x, model(x)))
    assert described(model)["loss"] == "<lambda>" and not recwarn.list


@pytest.mark.parametrize(
    ("loss", "expected"),
    [
        ("mse", None),
        ("sparse_categorical_crossentropy", False),
        ("bce", False),
        (keras.losses.BinaryCrossentropy(from_logits=True), True),
        (keras.losses.CategoricalCrossentropy(), False),
        (keras.losses.MeanSquaredError(), None),
        (keras.losses.binary_crossentropy, False),
        (["mse"], None),
        (None, None),
        (lambda y, p: keras.ops.mean(p), None),
    ],
)
def test_whether_a_loss_takes_logits(loss, expected):
    model = keras.Sequential([keras.Input((2,)), layers.Dense(1)])
    if loss is not None:
        model.compile("sgd", loss)
    assert described(model)["from_logits"] is expected


def test_metrics_optimizer_and_plan():
    model = keras.Sequential([keras.Input((2,)), layers.Dense(1)])
    assert described(model)["metrics"] == [] and described(model)["optimizer"] is None
    rate = keras.optimizers.schedules.ExponentialDecay(0.1, 10, 0.9)
    metrics = ["accuracy", keras.metrics.AUC(name="area")]
    model.compile(keras.optimizers.SGD(rate, momentum=0.9, clipnorm=1.0), "mse", metrics=metrics)
    network = described(model, epochs=3, steps=7)
    assert network["metrics"] == ["accuracy", "area"]
    assert (network["planned_epochs"], network["steps_per_epoch"]) == (3, 7)
    optimizer = network["optimizer"]
    assert (optimizer["momentum"], optimizer["clipnorm"]) == (0.9, 1.0)
    assert isinstance(optimizer["learning_rate"], str)
    assert optimizer["initial_learning_rate"] == 0.1


def test_rescaling_tells_its_numbers():
    model = keras.Sequential([keras.Input((2,)), layers.Rescaling(1 / 4, offset=-1)])
    (only,) = described(model)["layers"]
    assert (only["scale"], only["offset"]) == (0.25, -1.0)
