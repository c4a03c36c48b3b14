"""`Surgery`: copies of many structures, equal to the bit; what is put between layers; flags."""

import keras
import numpy as np
import pytest

from trainwell.recipes.layers.rrelu import RReLU
from trainwell.recipes.remedies.surgery import Surgery

layers = keras.layers


def numbers(*shape):
    return np.random.default_rng(0).normal(3, 2, (8, *shape)).astype(np.float32)


def skip():
    inputs = keras.Input((4,), name="in")
    first = layers.Dense(4, "tanh", name="first")(inputs)
    second = layers.Dense(4, "tanh", name="second")(first)
    return keras.Model(inputs, layers.Dense(1, name="out")(layers.Add()([first, second])))


def shared():
    inputs = keras.Input((4,))
    twice = layers.Dense(4, "tanh", name="twice")
    return keras.Model(inputs, layers.Dense(1)(twice(twice(inputs))))


def nested():
    deepest = keras.Sequential([keras.Input((4,)), layers.Dense(3, "relu", name="a")], name="deep")
    inner_input = keras.Input((4,))
    hidden = layers.Dense(2, "relu", name="a")(deepest(inner_input))
    inner = keras.Model(inner_input, hidden, name="inner")
    outer = keras.Sequential([keras.Input((4,)), inner, layers.Dense(2, "relu")], name="outer")
    inputs = keras.Input((4,))
    return keras.Model(inputs, layers.Dense(1)(outer(inputs)), name="top")


def two_inputs():
    a, b = keras.Input((4,), name="a"), keras.Input((3,), name="b")
    return keras.Model([b, a], layers.Dense(1)(layers.Concatenate()([a, b])))


def named_inputs():
    a, b = keras.Input((4,), name="a"), keras.Input((3,), name="b")
    return keras.Model({"b": b, "a": a}, layers.Dense(1)(layers.Concatenate()([a, b])))


def two_outputs():
    inputs = keras.Input((4,))
    hidden = layers.Dense(4, "relu")(inputs)
    return keras.Model(
        inputs, {"p": layers.Dense(1, name="p")(hidden), "q": layers.Dense(2, name="q")(hidden)}
    )


def operations():
    inputs = keras.Input((4,))
    hidden = keras.ops.tanh(layers.Dense(4)(inputs))
    return keras.Model(inputs, keras.ops.relu(layers.Dense(2)(hidden * 2.0) + 1.0))


def convolutional():
    return keras.Sequential(
        [
            keras.Input((6, 6, 2)),
            layers.Conv2D(3, 3, activation="tanh"),
            layers.BatchNormalization(),
            layers.SeparableConv2D(4, 2, activation=layers.LeakyReLU()),
            layers.DepthwiseConv2D(2),
            layers.PReLU(),
            RReLU(),
            layers.Conv2DTranspose(3, 2),
            layers.GlobalAveragePooling2D(),
            layers.Dropout(0.5, seed=1),
            layers.Dense(3, "softmax"),
        ]
    )


def recurrent():
    return keras.Sequential(
        [
            keras.Input((5, 2)),
            layers.Bidirectional(layers.LSTM(3, return_sequences=True)),
            layers.TimeDistributed(layers.Dense(3, "tanh")),
            layers.GRU(3, dropout=0.2),
            layers.Dense(1),
        ]
    )


def functions_of_ones_own():
    return keras.Sequential(
        [
            keras.Input((4,)),
            layers.Dense(3, lambda z: keras.ops.tanh(z) * 2),
            layers.Lambda(lambda z, by: z * by, arguments={"by": 3.0}),
            layers.Dense(1),
        ]
    )


def training_is_told():
    inputs = keras.Input((4,))
    hidden = layers.BatchNormalization()(inputs, training=False)
    return keras.Model(inputs, layers.Dense(1)(hidden))


ZOO = [
    (skip, numbers(4)),
    (shared, numbers(4)),
    (nested, numbers(4)),
    (two_inputs, [numbers(3), numbers(4)]),
    (named_inputs, {"a": numbers(4), "b": numbers(3)}),
    (two_outputs, numbers(4)),
    (operations, numbers(4)),
    (convolutional, numbers(6, 6, 2)),
    (recurrent, numbers(5, 2)),
    (functions_of_ones_own, numbers(4)),
    (training_is_told, numbers(4)),
]


@pytest.mark.filterwarnings("ignore:The object being serialized includes a `lambda`")
@pytest.mark.parametrize(("make", "x"), ZOO, ids=lambda one: getattr(one, "__name__", ""))
def test_a_copy_has_the_same_outputs_and_shares_nothing(make, x):
    model = make()
    surgery = Surgery(model)
    new = surgery.perform()
    everything = [*_all_layers(model)]
    surgery.carry_over(everything)
    assert type(new) is type(model)
    assert new.name == model.name
    assert [one.name for one in new.layers] == [one.name for one in model.layers]
    # To the bit in one compiled function each.
    old_outputs = keras.tree.flatten(model.predict_on_batch(x))
    for old, again in zip(old_outputs, keras.tree.flatten(new.predict_on_batch(x)), strict=True):
        np.testing.assert_array_equal(again, old)
    assert not {id(v) for v in new.variables} & {id(v) for v in model.variables}
    assert not {id(one) for one in _all_layers(new)} & {id(one) for one in everything}


def _all_layers(model):
    for layer in model.layers:
        if isinstance(layer, keras.Model):
            yield from _all_layers(layer)
        else:
            yield layer


def test_the_structure_of_inputs_and_outputs_stays():
    assert list(Surgery(named_inputs()).perform().input) == ["b", "a"]
    assert list(Surgery(two_outputs()).perform().output) == ["p", "q"]
    assert [one.name for one in Surgery(two_inputs()).perform().inputs] == ["b", "a"]


def test_a_sequential_model_that_was_never_built_stays_so():
    new = Surgery(keras.Sequential([layers.Dense(3, "relu"), layers.Dense(1)])).perform()
    assert not new.built
    assert new(numbers(4)).shape == (8, 1)


def test_puts_normalization_activation_and_dropout_behind_a_layer_in_this_order():
    model = skip()
    surgery = Surgery(model)
    edit = surgery.edit(model.get_layer("first"))
    edit.dropout = lambda: layers.Dropout(0.5, name="d")
    edit.activation = lambda: layers.ReLU(name="a")
    edit.normalization = lambda: layers.BatchNormalization(name="n")
    edit.config["activation"] = None
    new = surgery.perform()
    assert [one.name for one in new.layers][:5] == ["in", "first", "n", "a", "d"]
    # Both branches take what comes last.
    assert new.get_layer("second").input is new.get_layer("d").output
    assert new.get_layer(new.layers[-2].name).input[0] is new.get_layer("d").output


def test_a_shared_layer_is_followed_by_one_shared_layer():
    model = shared()
    surgery = Surgery(model)
    surgery.edit(model.get_layer("twice")).activation = lambda: layers.Rescaling(2.0, name="a")
    new = surgery.perform()
    assert [one.name for one in new.layers].count("a") == 1
    kernel = new.get_layer("twice").kernel.numpy()
    last = new.layers[-1].kernel.numpy()
    x = numbers(4)
    by_hand = 2 * np.tanh(2 * np.tanh(x @ kernel) @ kernel) @ last
    np.testing.assert_allclose(new.predict_on_batch(x), by_hand, rtol=1e-5)


def test_another_class_with_the_same_configuration():
    model = keras.Sequential([keras.Input((4,)), layers.Dropout(0.3, name="d"), layers.Dense(1)])
    surgery = Surgery(model)
    surgery.edit(model.layers[0]).kind = layers.AlphaDropout
    made = surgery.perform().layers[0]
    assert type(made) is layers.AlphaDropout
    assert (made.name, made.rate) == ("d", 0.3)


def test_layers_at_inputs_and_output():
    model = two_inputs()
    surgery = Surgery(model)
    surgery.at_inputs = [None, lambda: layers.Rescaling(0.0, name="zero")]
    surgery.at_output = lambda: layers.Rescaling(3.0, offset=1.0, name="scaled")
    new = surgery.perform()
    surgery.carry_over(model.layers)
    b, a = numbers(3), numbers(4)
    expected = 3 * model.predict_on_batch([b, 0 * a]) + 1
    np.testing.assert_allclose(new.predict_on_batch([b, a]), expected, rtol=1e-5)


def test_frozen_layers_stay_frozen_at_any_depth():
    model = nested()
    deep = model.get_layer("outer").get_layer("inner").get_layer("deep")
    deep.layers[0].trainable = False
    new = Surgery(model).perform()
    flags = [one.trainable for one in _all_layers(new)]
    assert flags == [one.trainable for one in _all_layers(model)]
    assert flags.count(False) == 1
    assert len(new.trainable_variables) == len(model.trainable_variables)
    model.trainable = False
    assert Surgery(model).perform().trainable_variables == []


def test_an_unfrozen_layer_in_a_frozen_model():
    model = nested()
    model.get_layer("outer").trainable = False
    model.get_layer("outer").layers[-1].trainable = True
    new = Surgery(model).perform()
    assert not new.get_layer("outer").trainable
    assert new.get_layer("outer").layers[-1].trainable


def test_adapted_statistics_and_vocabularies_are_carried_over():
    x = numbers(4)
    normalization = layers.Normalization()
    normalization.adapt(x)
    model = keras.Sequential([keras.Input((4,)), normalization, layers.Dense(1)])
    surgery = Surgery(model)
    new = surgery.perform()
    surgery.carry_over([normalization])
    expected = (x - x.mean(axis=0)) / x.std(axis=0)
    np.testing.assert_allclose(new.layers[0](x), expected, rtol=1e-4, atol=1e-5)

    words = layers.StringLookup()
    words.adapt(["b", "a", "b"])
    model = keras.Sequential([keras.Input((1,), dtype="string"), words, layers.Embedding(3, 2)])
    surgery = Surgery(model)
    new = surgery.perform()
    surgery.carry_over([words])
    assert new.layers[0].get_vocabulary() == ["[UNK]", "b", "a"]


def test_weights_of_another_shape_are_not_carried_over():
    model = keras.Sequential([keras.Input((4,)), layers.Dense(3), layers.Dense(1)])
    surgery = Surgery(model)
    surgery.edit(model.layers[1]).config["units"] = 2
    new = surgery.perform()
    surgery.carry_over(model.layers)
    np.testing.assert_array_equal(new.layers[0].kernel, model.layers[0].kernel)
    assert new.layers[1].kernel.shape == (3, 2)


def test_a_dropout_that_drops_nothing_has_no_draws_to_carry_over():
    model = keras.Sequential([keras.Input((4,)), layers.Dropout(0.5)])
    surgery = Surgery(model)
    surgery.edit(model.layers[0]).config["rate"] = 0.0
    new = surgery.perform()
    surgery.carry_over(model.layers)
    np.testing.assert_array_equal(new(np.ones((2, 4)), training=True), np.ones((2, 4)))


class Stepping(keras.Model):
    def train_step(self, data):
        return {**super().train_step(data), "own": 1.0}


class OfItsOwn(Stepping):
    def __init__(self, units):
        inputs = keras.Input((4,))
        super().__init__(inputs, layers.Dense(units)(inputs))


class Renamed(keras.Model):
    def __init__(self, units):
        inputs = keras.Input((4,))
        super().__init__(inputs, layers.Dense(units)(inputs))


class NoConfig(keras.layers.Layer):
    def __init__(self, factor):
        super().__init__()
        self.factor = factor

    def call(self, x):
        return x * self.factor


def test_a_class_with_its_own_step_stays():
    inputs = keras.Input((4,))
    assert type(Surgery(Stepping(inputs, layers.Dense(1)(inputs))).perform()) is Stepping


def test_a_class_that_only_builds_becomes_kerass():
    assert type(Surgery(Renamed(2)).perform()) is type(skip())


def test_what_cannot_be_made_anew_is_refused():
    with pytest.raises(ValueError, match="has its own train_step and a constructor"):
        Surgery(OfItsOwn(2)).perform()
    with pytest.raises(ValueError, match=r"layer 'no_config.*' of type NoConfig"):
        Surgery(keras.Sequential([keras.Input((4,)), NoConfig(2)])).perform()

    class Subclassed(keras.Model):
        def call(self, x):
            return x

    with pytest.raises(ValueError, match=r"must be Sequential or Functional.*Subclassed"):
        Surgery(Subclassed())
