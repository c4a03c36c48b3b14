"""`prescribe`: what it can't change it says in a sentence, and changes the rest."""

import warnings

import keras
import numpy as np
import pytest

from trainwell.callbacks import Finding, Remedy
from trainwell.recipes.prescription import apply_remedies, prescribe

layers = keras.layers
X = np.random.default_rng(0).normal(3, 2, (16, 4)).astype(np.float32)
Y = np.random.default_rng(1).normal(size=(16, 1)).astype(np.float32)

EVERY = [
    *(("activation", name) for name in ("relu", "elu", "selu", "prelu", "rrelu", "gelu")),
    *(("normalization", "batch"), ("dropout", 0.2), ("dropout", 0.0)),
    *(("initializer", "he_normal"), ("regularization", {"l2": 1e-4})),
    *(("output_activation", name) for name in ("softmax", "sigmoid", "linear")),
    ("loss", "mean_squared_error"),
    ("loss", "sparse_categorical_crossentropy"),
    *(("optimizer", name) for name in ("adam", "sgd")),
    *(("clipping", {"clipnorm": 1.0}), ("learning_rate", None), ("learning_rate", 1e-3)),
    *(("target_scaling", {"mean": 5.0, "std": 3.0}), ("target_scaling", {"labels": 255.0})),
    *(("target_scaling", {"labels": None}), ("input_scaling", "standardize")),
    *(("input_scaling", "clean"), ("connect", "residual"), ("connect", None)),
    *(("epochs", "early_stopping"), ("epochs", None), ("batch_size", None)),
]


def changed(model, kind, value=None, x=None, y=None, symptom="slow_convergence", named=()):
    one = Remedy(kind=kind, value=value, reason="Because.", source="A book")
    found = Finding(
        symptom=symptom, layers=named, severity="error", first_step=0, evidence="", remedies=(one,)
    )
    return apply_remedies(model, [(found, one)], x, y)


def compiled(*stack, loss="mse", **options):
    model = keras.Sequential(stack)
    model.compile("sgd", loss, **options)
    return model


def wrapped():
    return compiled(
        keras.Input((5, 2)),
        layers.Bidirectional(layers.LSTM(3, return_sequences=True)),
        layers.TimeDistributed(layers.Dense(3, "tanh")),
        layers.TimeDistributed(layers.Dropout(0.9)),
        layers.TimeDistributed(layers.Dense(1, "tanh")),
    )


def words():
    return compiled(
        keras.Input((5,), dtype="int32"),
        layers.Embedding(9, 3),
        layers.SimpleRNN(3),
        layers.Dense(1, "sigmoid"),
    )


def two_outputs():
    inputs = keras.Input((4,), name="in")
    h = layers.Dense(3, "tanh")(inputs)
    model = keras.Model(inputs, [layers.Dense(1, name="p")(h), layers.Dense(2, name="q")(h)])
    model.compile("sgd", {"p": "mse", "q": "mae"})
    return model


@keras.saving.register_keras_serializable(package="tests")
class Doubling(keras.layers.Layer):
    def call(self, x):
        return 2 * x


def odd_layers():
    return compiled(
        keras.Input((4,)),
        Doubling(),
        layers.Dense(3, lambda z: keras.ops.tanh(z) * 2),
        layers.Lambda(lambda z: z + 1),
        layers.Dense(1),
        Doubling(),
    )


def all_frozen():
    model = compiled(keras.Input((4,)), layers.Dense(3, "tanh"), layers.Dense(1))
    model.trainable = False
    return model


HOSTILE = [
    (wrapped, np.zeros((4, 5, 2), "float32"), np.zeros((4, 5, 1), "float32")),
    (words, np.ones((4, 5), "int32"), np.array([0, 1, 0, 1])),
    (two_outputs, X, [Y, np.concatenate([Y, Y], axis=1)]),
    (odd_layers, X, Y),
    (all_frozen, X, Y),
]


@pytest.mark.filterwarnings("ignore:The object being serialized includes a `lambda`")
@pytest.mark.filterwarnings("ignore:You are using a softmax over axis")
@pytest.mark.parametrize(("make", "x", "y"), HOSTILE, ids=[one[0].__name__ for one in HOSTILE])
def test_no_remedy_crashes_and_each_says_what_it_did(make, x, y):
    model = make()
    for kind, value in EVERY:
        data = (None, None) if kind == "learning_rate" else (x, y)
        made = changed(model, kind, value, *data)
        assert made.changes or made.not_changed, kind
        for sentence in made.not_changed:
            assert sentence.endswith((".", ".)"))
            assert len(sentence.split()) > 8, sentence
        assert made.model(x) is not None


def test_prescribe_warns_of_what_is_left_to_do():
    one = Remedy(kind="epochs", reason="Because.", source="A book", value=None)
    found = Finding(
        symptom="overfitting", layers=(), severity="error", first_step=0, evidence="",
        remedies=(one,),
    )  # fmt: skip
    with pytest.warns(UserWarning, match="The number of epochs is an argument of `fit`"):
        prescribe(odd_model(), [found])
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        prescribe(odd_model(), [])


def odd_model():
    return compiled(keras.Input((4,)), layers.Dense(3, "tanh", name="h"), layers.Dense(1))


def test_several_outputs():
    model, y = two_outputs(), [Y, np.concatenate([Y, Y], axis=1)]
    for kind, value, said in (
        ("output_activation", "softmax", "has several outputs"),
        ("loss", "mean_squared_error", "a list of losses, one for each output"),
        ("target_scaling", {"mean": 1.0, "std": 2.0}, "Targets of several outputs"),
    ):
        made = changed(model, kind, value, X, y)
        assert said in made.not_changed[0]
        assert not made.changes
        made.model.fit(X, y, verbose=0)
    # What does not concern the outputs is changed.
    assert changed(model, "activation", "relu", X, y).changes


def test_embeddings_keep_their_numbers():
    made = changed(words(), "input_scaling", "standardize", np.ones((4, 5), "int32"))
    assert "Inputs that are numbers of words" in made.not_changed[0]


def test_words_and_adapted_vocabularies():
    text = layers.TextVectorization(max_tokens=9, output_sequence_length=4)
    text.adapt(["a b c", "c d e"])
    model = compiled(
        keras.Input((), dtype="string"), text, layers.Embedding(9, 3), layers.Flatten(),
        layers.Dense(1),
    )  # fmt: skip
    made = changed(model, "input_scaling", "standardize", np.array(["a b", "d"]), np.zeros(2))
    assert "or words, have no scale" in made.not_changed[0]
    assert made.model.layers[0].get_vocabulary() == text.get_vocabulary()


@pytest.mark.parametrize(
    ("x", "said"),
    [
        (X * np.nan, "have no mean and deviation"),
        (np.ones((16, 7)), "the model takes (4,)"),
        (X.astype(str), "do not have the inputs of the model, as numbers"),
        ([X, X], "do not have the inputs of the model"),
    ],
    ids=["nan", "shape", "strings", "too_many"],
)
def test_data_that_do_not_suit(x, said):
    made = changed(odd_model(), "input_scaling", "standardize", x, Y)
    assert said in made.not_changed[0]


def test_frozen_first_layers_expect_what_they_were_trained_with():
    model = odd_model()
    model.layers[0].trainable = False
    made = changed(model, "input_scaling", "standardize", X)
    assert "preprocess_input" in made.not_changed[0]


def test_inputs_that_are_normalized_already():
    model = compiled(keras.Input((4,)), layers.BatchNormalization(), layers.Dense(1))
    assert (
        "normalizes its inputs already"
        in changed(model, "input_scaling", "standardize", X).not_changed[0]
    )


def test_findings_of_another_model():
    made = changed(odd_model(), "activation", "relu", named=("encoder/block_7",))
    assert "The model has no layers encoder/block_7" in made.not_changed[0]
    assert not made.changes


def test_frozen_and_wrapped_layers_that_are_named():
    model = odd_model()
    model.layers[0].trainable = False
    made = changed(model, "activation", "relu", named=("h",))
    assert "h cannot be changed, frozen or within a wrapper" in made.not_changed[0]
    np.testing.assert_array_equal(made.model.predict(X, verbose=0), model.predict(X, verbose=0))


def test_an_unknown_activation_has_a_way_out():
    made = changed(odd_model(), "activation", "swosh")
    assert "Keras has no activation 'swosh'" in made.not_changed[0]


def test_an_output_that_is_used_elsewhere_too():
    inputs = keras.Input((4,))
    first = layers.Dense(2, name="p")(inputs)
    model = keras.Model(inputs, layers.Add()([first, layers.Dense(2)(layers.ReLU()(first))]))
    model.compile("sgd", "mse")
    assert (
        "has no activation of its own"
        in changed(model, "output_activation", "sigmoid").not_changed[0]
    )


def test_losses_of_positive_outputs_are_not_shifted():
    model = compiled(keras.Input((4,)), layers.Dense(1, "softplus"), loss="poisson")
    made = changed(model, "target_scaling", {"mean": 500.0, "std": 100.0})
    assert "takes positive outputs alone" in made.not_changed[0]


@pytest.mark.parametrize("value", [{"mean": 1.0, "std": 0.0}, {"mean": float("nan"), "std": 1.0}])
def test_targets_without_scale(value):
    assert "all the same" in changed(odd_model(), "target_scaling", value).not_changed[0]


def test_optimizers():
    model = compiled(keras.Input((4,)), layers.Dense(1))
    model.optimizer.clipvalue = 0.5
    made = changed(model, "clipping", {"clipnorm": 1.0})
    assert "clips already (clipvalue)" in made.not_changed[0]
    assert "is sgd already" in changed(model, "optimizer", "sgd").not_changed[0]


def test_models_that_cannot_be_changed_at_all():
    with pytest.raises(ValueError, match=r"must be a compiled Keras model.*model.compile"):
        prescribe(keras.Sequential([layers.Dense(1)]), [])
    with pytest.raises(ValueError, match="must be a compiled Keras model"):
        prescribe("model", [])

    class Subclassed(keras.Model):
        def call(self, x):
            return x

    model = Subclassed()
    model.compile("sgd", "mse")
    with pytest.raises(ValueError, match=r"must be Sequential or Functional.*type Subclassed"):
        prescribe(model, [])

    class OwnCompile(keras.Sequential):
        def compile(self, **options):
            super().compile(optimizer="sgd", loss="mse")

    model = OwnCompile([keras.Input((4,)), layers.Dense(1)])
    model.compile()
    with pytest.raises(ValueError, match="compiled by Keras' own `compile`"):
        prescribe(model, [])
