"""`prescribe`: which remedies are taken, what becomes of hidden layers, and which weights stay."""

import keras
import numpy as np
import pytest

from trainwell.callbacks import Finding, Remedy
from trainwell.recipes import preflight
from trainwell.recipes.prescription import (
    REMEDIES,
    apply_remedies,
    first_remedies,
    key_of,
    prescribe,
    prescription,
)

layers = keras.layers
X = np.random.default_rng(0).normal(3, 2, (32, 4)).astype(np.float32)
Y = np.random.default_rng(1).normal(size=(32, 1)).astype(np.float32)


def finding(*remedies, symptom="slow_convergence", named=(), severity="error", cause=None):
    return Finding(
        symptom=symptom,
        layers=tuple(named),
        severity=severity,
        first_step=0,
        evidence="By hand.",
        remedies=tuple(remedies),
        cause=cause,
    )


def remedy(kind, value=None):
    return Remedy(kind=kind, value=value, reason="Because.", source="A book")


def changed(model, kind, value=None, x=None, y=None, **options):
    """The prescription of a single remedy."""
    one = remedy(kind, value)
    return apply_remedies(model, [(finding(one, **options), one)], x, y)


def chain(*between, compiled=True, **options):
    """Dense "a" (3) and "b" (3), each followed by what is given, and "out" (1)."""
    last = layers.Dense(1, name="out")
    model = keras.Sequential([keras.Input((4,)), *between, last], name="chain")
    if compiled:
        model.compile(**{"optimizer": "sgd", "loss": "mse", **options})
    return model


def dense(name, activation="tanh", units=3, **options):
    return layers.Dense(units, activation, name=name, **options)


def skip(activation="tanh"):
    """in -> a -> b -> add(a, b) -> out"""
    inputs = keras.Input((4,), name="in")
    a = dense("a", activation)(inputs)
    added = layers.Add(name="add")([a, dense("b", activation)(a)])
    model = keras.Model(inputs, layers.Dense(1, name="out")(added))
    model.compile("sgd", "mse")
    return model


def names(model):
    return [layer.name for layer in model.layers]


def activations(model):
    return [
        keras.activations.serialize(layer.activation)
        for layer in model.layers
        if isinstance(layer, layers.Dense)
    ]


def same_weights(model, other, name):
    old, new = model.get_layer(name).get_weights(), other.get_layer(name).get_weights()
    return len(old) == len(new) and all(map(np.array_equal, old, new))


def state_of(model):
    return [v.numpy().copy() for v in (*model.variables, *model.optimizer.variables)]


# ---------------------------------------------------------------- the copy


@pytest.mark.parametrize("make", [skip, lambda: chain(dense("a"), layers.Dropout(0.5), dense("b"))])
def test_without_findings_it_is_an_equal_compiled_model(make):
    model = make()
    model.fit(X, Y, verbose=0)
    new = prescribe(model, [])
    assert new is not model
    assert type(new) is type(model)
    assert new.compiled
    assert names(new) == names(model)
    np.testing.assert_array_equal(new.predict(X, verbose=0), model.predict(X, verbose=0))
    assert new.optimizer is not model.optimizer
    assert new.optimizer.iterations == 0


def test_the_given_model_stays_as_it_was():
    model = chain(dense("a"), layers.Dropout(0.5), dense("b"), metrics=["mae"])
    model.layers[-1].trainable = False
    model.compile("adam", "mse", metrics=["mae"])
    model.fit(X, Y, verbose=0)
    before, config = state_of(model), model.get_config()
    optimizer, function = model.optimizer, model.train_function
    told = {name: metric.result() for name, metric in zip("ab", model.metrics, strict=False)}
    every = [("activation", "elu"), ("normalization", "batch"), ("dropout", 0.2),
             ("clipping", {"clipnorm": 1.0}), ("learning_rate", None), ("optimizer", "sgd"),
             ("input_scaling", "standardize"), ("target_scaling", {"mean": 1.0, "std": 2.0}),
             ("regularization", {"l2": 1e-4}), ("initializer", "he_normal")]  # fmt: skip
    choices = [(finding(remedy(*one)), remedy(*one)) for one in every]
    new = apply_remedies(model, choices, X, Y).model
    new.fit(X, Y, verbose=0)
    assert all(map(np.array_equal, before, state_of(model)))
    assert model.get_config() == config
    assert (model.optimizer, model.train_function) == (optimizer, function)
    again = {name: metric.result() for name, metric in zip("ab", model.metrics, strict=False)}
    assert keras.tree.map_structure(float, again) == keras.tree.map_structure(float, told)
    assert [layer.trainable for layer in model.layers] == [True, True, True, False]
    model.fit(X, Y, verbose=0)


def test_training_goes_on_alike_in_an_exact_copy():
    model = chain(dense("a"), layers.Dropout(0.5, seed=3), dense("b"))
    new = prescribe(model, [])
    for one in (model, new):
        one.fit(X, Y, epochs=2, shuffle=False, verbose=0)
    assert all(map(np.array_equal, model.get_weights(), new.get_weights()))


def test_saved_and_loaded_without_trainwell_in_safe_mode(tmp_path):
    findings = [
        finding(remedy("input_scaling", "standardize"), symptom="unscaled_input"),
        finding(remedy("activation", "elu"), symptom="vanishing_gradient"),
        finding(remedy("normalization", "batch"), symptom="oscillating_loss"),
        finding(remedy("dropout", 0.2), symptom="overfitting"),
        finding(remedy("target_scaling", {"mean": 5.0, "std": 3.0}), symptom="unscaled_target"),
        finding(remedy("optimizer", "adam"), symptom="slow_convergence"),
    ]
    new = prescribe(skip(), findings, x=X, y=Y)
    new.fit(X, Y, verbose=0)
    new.save(tmp_path / "new.keras")
    loaded = keras.models.load_model(tmp_path / "new.keras", safe_mode=True)
    np.testing.assert_array_equal(loaded.predict(X, verbose=0), new.predict(X, verbose=0))
    assert "trainwell" not in str(new.get_config())
    loaded.fit(X, Y, verbose=0)


# ---------------------------------------------------------------- which remedies


def test_each_root_gives_its_first_remedy():
    elu, batch, adam = remedy("activation", "elu"), remedy("normalization"), remedy("optimizer")
    root = finding(elu, batch, symptom="vanishing_gradient")
    follows = finding(adam, symptom="slow_convergence", cause="vanishing_gradient")
    info = finding(remedy("dropout", 0.2), symptom="overfitting", severity="info")
    assert first_remedies([root, follows, info]) == [(root, elu)]
    assert first_remedies([root], {("vanishing_gradient", key_of(elu))}) == [(root, batch)]
    # What it follows from is not among them, or only worth knowing: then it is a root.
    assert first_remedies([follows]) == [(follows, adam)]
    known = finding(elu, symptom="vanishing_gradient", severity="info")
    assert first_remedies([known, follows]) == [(follows, adam)]


def test_output_and_loss_are_mended_together():
    both = (remedy("output_activation", "softmax"), remedy("loss", "categorical_crossentropy"))
    one = finding(*both, symptom="improper_output_activation")
    assert first_remedies([one]) == [(one, both[0]), (one, both[1])]


def test_of_two_that_change_the_same_the_first():
    slow, slower = remedy("learning_rate", 0.01), remedy("learning_rate", 0.001)
    first = finding(slow, symptom="learning_rate_too_high")
    second = finding(slower, symptom="oscillating_loss")
    assert first_remedies([first, second]) == [(first, slow)]
    relu, elu = remedy("activation", "relu"), remedy("activation", "elu")
    first = finding(relu, symptom="vanishing_gradient")
    second = finding(elu, symptom="saturated_activation")
    third = finding(relu, symptom="missing_activation")
    assert first_remedies([first, second, third]) == [(first, relu), (third, relu)]


def test_no_rate_of_the_old_optimizer_beside_a_new_one():
    adam, rate = remedy("optimizer", "adam"), remedy("learning_rate", 0.5)
    first, second = finding(rate, symptom="learning_rate_too_low"), finding(adam)
    assert first_remedies([first, second]) == [(second, adam)]
    assert float(prescribe(skip(), [first, second]).optimizer.learning_rate) == pytest.approx(0.001)


def test_every_kind_of_remedy_does_something():
    from trainwell.callbacks.diagnosis.finding import KINDS

    assert set(REMEDIES) == set(KINDS)


@pytest.mark.parametrize(
    "findings", [["vanishing_gradient"], finding(), [None]], ids=["names", "one", "None"]
)
def test_what_are_no_findings_is_refused(findings):
    with pytest.raises(ValueError, match=r"`findings` must be a list of `Finding`, .*Received: f"):
        prescription(chain(), findings)


def test_of_findings_of_preflight():
    model = chain(*(dense(f"h{i}", "sigmoid") for i in range(8)))
    findings = preflight(model, X, Y)
    made = prescription(model, findings, x=X, y=Y)
    assert made.changes
    made.model.fit(X, Y, verbose=0)


def test_a_change_tells_what_why_and_by_whom():
    made = changed(skip(), "clipping", {"clipnorm": 1.0}, symptom="exploding_gradient")
    assert str(made) == (
        "clipping: none -> clipnorm 1, against exploding_gradient. Because. (A book)"
    )
    made = changed(skip(), "batch_size")
    assert str(made).startswith("by hand: The batch size is an argument of `fit`")


# ---------------------------------------------------------------- activation and initializer


@pytest.mark.parametrize("make", [skip, lambda: chain(dense("a"), dense("b"))])
def test_activation_and_initializer_are_swapped(make):
    model = make()
    made = changed(model, "activation", "relu", symptom="vanishing_gradient", named=("a",))
    # All that have the same activation as the one that is named.
    assert made.changes[0].layers == ("a", "b")
    assert (made.changes[0].before, made.changes[0].after) == ("tanh", "relu")
    assert activations(made.model) == ["relu", "relu", "linear"]
    for name in "ab":
        layer = made.model.get_layer(name)
        assert type(layer.kernel_initializer) is keras.initializers.HeNormal
        assert not layer.bias.numpy().any()
        assert not same_weights(model, made.model, name)
    kernels = [made.model.get_layer(name).kernel_initializer for name in "ab"]
    assert kernels[0] is not kernels[1]


def test_an_activation_that_is_a_layer_is_put_behind():
    made = changed(skip(), "activation", "elu")
    assert type(made.model.get_layer("a_activation")) is layers.ELU
    assert activations(made.model) == ["linear"] * 3
    # The shortcut starts behind it.
    add = made.model.get_layer("add")
    assert add.input[0] is made.model.get_layer("a_activation").output
    a, b, out = (made.model.get_layer(name).get_weights() for name in ("a", "b", "out"))

    def elu(z):
        return np.where(z > 0, z, np.expm1(z))

    h = elu(X @ a[0] + a[1])
    expected = (h + elu(h @ b[0] + b[1])) @ out[0] + out[1]
    np.testing.assert_allclose(made.model.predict(X, verbose=0), expected, rtol=1e-4, atol=1e-5)


def test_separate_activation_layers_are_replaced_under_their_names():
    model = chain(
        dense("a", None), layers.BatchNormalization(name="n"), layers.Activation("tanh", name="f"),
        dense("b", None), layers.LeakyReLU(name="g"),
    )  # fmt: skip
    new = changed(model, "activation", "elu").model
    assert names(new) == ["a", "n", "f", "b", "g", "out"]
    assert [type(new.get_layer(name)) for name in "fg"] == [layers.ELU, layers.ELU]


def test_an_activation_layer_that_is_called_twice_is_replaced_once():
    inputs, act = keras.Input((4,), name="in"), layers.ReLU(name="act")
    h = act(dense("b", None, 5)(act(dense("a", None)(inputs))))
    model = keras.Model(inputs, layers.Dense(1, name="out")(h))
    model.compile("sgd", "mse")
    new = changed(model, "activation", "leaky_relu").model
    assert sorted(names(new)) == ["a", "act", "b", "in", "out"]
    assert type(new.get_layer("act")) is layers.LeakyReLU
    new = changed(model, "dropout", 0.2).model
    assert [name for name in names(new) if "dropout" in name] == ["act_dropout"]


def test_operations_are_replaced_by_layers():
    inputs = keras.Input((4,))
    h = keras.ops.tanh(dense("a", None)(inputs))
    model = keras.Model(inputs, layers.Dense(1, name="out")(keras.ops.tanh(dense("b", None)(h))))
    model.compile("sgd", "mse")
    new = changed(model, "activation", "elu").model
    assert [type(one) for one in new.layers].count(layers.ELU) == 2
    new.fit(X, Y, verbose=0)


def test_a_missing_activation_only_where_it_is_missing():
    model = chain(dense("a", None), dense("b", "tanh"), dense("c", None), layers.ReLU(name="r"))
    made = changed(model, "activation", "relu", symptom="missing_activation", named=("a",))
    assert made.changes[0].before == "linear"
    assert activations(made.model) == ["relu", "tanh", "linear", "linear"]
    assert names(made.model) == ["a", "b", "c", "r", "out"]


def test_a_missing_activation_does_not_take_that_of_the_next_layer():
    model = chain(dense("a", None), dense("b", None), layers.ReLU(name="r"))
    new = changed(model, "activation", "elu", symptom="missing_activation", named=("a",)).model
    assert names(new) == ["a", "a_activation", "b", "r", "out"]


def test_a_missing_activation_comes_behind_the_normalization():
    model = chain(dense("a", None), layers.BatchNormalization(name="n"), dense("b"))
    new = changed(model, "activation", "elu", symptom="missing_activation", named=("a",)).model
    assert names(new) == ["a", "n", "n_activation", "b", "out"]
    new = changed(model, "activation", "relu", symptom="missing_activation", named=("a",)).model
    assert names(new) == ["a", "n", "n_activation", "b", "out"]


def test_activations_given_as_layers():
    model = chain(dense("a", layers.LeakyReLU()), dense("b", layers.PReLU()))
    new = changed(model, "activation", "elu").model
    assert [type(one) for one in new.layers if one.name.endswith("_activation")] == [layers.ELU] * 2
    normalized = changed(model, "normalization", "batch").model
    kinds = [type(one).__name__ for one in normalized.layers]
    assert kinds == ["Dense", "BatchNormalization", "LeakyReLU",
                     "Dense", "BatchNormalization", "PReLU", "Dense"]  # fmt: skip


def test_dropout_follows_self_normalizing_activations():
    model = chain(dense("a", "elu"), layers.Dropout(0.3, name="d"), dense("b", "elu"))
    selu = changed(model, "activation", "selu").model
    assert type(selu.get_layer("d")) is layers.AlphaDropout
    assert selu.get_layer("d").rate == 0.3
    back = changed(selu, "activation", "elu").model
    assert type(back.get_layer("d")) is layers.Dropout
    assert type(selu.get_layer("a").kernel_initializer) is keras.initializers.LecunNormal


def test_names_of_keras_that_the_table_does_not_know():
    new = changed(skip(), "activation", "hard_sigmoid").model
    assert activations(new) == ["hard_sigmoid", "hard_sigmoid", "linear"]


def test_prelu_has_a_slope_for_each_channel():
    model = keras.Sequential(
        [keras.Input((6, 6, 2)), layers.Conv2D(3, 3, activation="relu", name="c"),
         layers.GlobalAveragePooling2D(), layers.Dense(1)]
    )  # fmt: skip
    model.compile("sgd", "mse")
    slopes = changed(model, "activation", "prelu").model.get_layer("c_activation")
    assert slopes.alpha.shape == (1, 1, 3)


def test_the_initializer_is_that_of_the_activation():
    model = chain(dense("a", "relu"), dense("b", "selu"), dense("c", "sigmoid"))
    made = changed(model, "initializer", "he_normal", symptom="poor_initialization")
    kinds = [type(one.kernel_initializer).__name__ for one in made.model.layers]
    assert kinds == ["HeNormal", "LecunNormal", "GlorotNormal", "GlorotUniform"]
    assert made.changes[0].layers == ("a", "b", "c")
    made = changed(model, "initializer", "he_normal", named=("out", "b"))
    assert made.changes[0].layers == ("b", "out")


def test_the_initializer_follows_a_new_activation():
    swap, draw = remedy("activation", "relu"), remedy("initializer", "he_normal")
    first = finding(swap, symptom="vanishing_gradient")
    second = finding(draw, symptom="poor_initialization")
    new = prescribe(skip("sigmoid"), [second, first])
    assert type(new.get_layer("a").kernel_initializer) is keras.initializers.HeNormal


def test_of_two_activations_for_a_layer_the_last_is_applied():
    relu, elu = remedy("activation", "relu"), remedy("activation", "elu")
    order = [(finding(elu), elu), (finding(relu), relu)]
    new = apply_remedies(skip(), order).model
    assert activations(new) == ["relu", "relu", "linear"]
    assert names(new) == ["in", "a", "b", "add", "out"]
    new = apply_remedies(skip(), order[::-1]).model
    assert "a_activation" in names(new)
    assert activations(new) == ["linear"] * 3


def test_everything_at_once_on_the_same_layers():
    kinds = [("dropout", 0.2), ("normalization", "batch"), ("initializer", "he_normal"),
             ("regularization", {"l2": 0.01}), ("activation", "elu")]  # fmt: skip
    new = apply_remedies(skip(), [(finding(remedy(*one)), remedy(*one)) for one in kinds]).model
    behind = ["a", "a_batch_normalization", "a_activation", "a_dropout"]
    assert names(new) == ["in", *behind, *(name.replace("a", "b", 1) for name in behind),
                          "add", "out"]  # fmt: skip
    assert new.get_layer("a").kernel_regularizer.l2 == pytest.approx(0.01)
    assert not new.get_layer("a").use_bias
    new.fit(X, Y, verbose=0)


# ---------------------------------------------------------------- normalization, dropout, L2


def test_normalization_comes_between_kernel_and_activation():
    made = changed(skip(), "normalization", "batch")
    new = made.model
    assert names(new)[1:4] == ["a", "a_batch_normalization", "a_activation"]
    assert new.get_layer("a_activation").activation is keras.activations.tanh
    assert not new.get_layer("a").use_bias
    assert new.get_layer("out").use_bias
    again = changed(new, "normalization", "batch")
    assert again.not_changed
    assert names(again.model) == names(new)


def test_layers_with_normalization_stay():
    model = chain(
        dense("a", None), layers.BatchNormalization(name="n"), layers.ReLU(name="r"), dense("b")
    )
    new = changed(model, "normalization", "batch").model
    assert names(new) == ["a", "n", "r", "b", "b_batch_normalization", "b_activation", "out"]


def test_a_residual_block_that_normalizes_its_inputs_stays():
    inputs = keras.Input((4,), name="in")
    h = dense("first", "relu", 4)(inputs)
    branch = layers.ReLU(name="r")(layers.BatchNormalization(name="n")(h))
    model = keras.Model(
        inputs, dense("out", None, 1)(layers.Add()([h, dense("b", None, 4)(branch)]))
    )
    model.compile("sgd", "mse")
    made = changed(model, "normalization", "batch")
    assert made.changes[0].layers == ("first",)


def test_maps_with_channels_first_are_normalized_by_channel():
    model = keras.Sequential(
        [keras.Input((2, 6, 6)),
         layers.Conv2D(3, 3, activation="relu", data_format="channels_first", name="c"),
         layers.GlobalAveragePooling2D(data_format="channels_first"), layers.Dense(1)]
    )  # fmt: skip
    model.compile("sgd", "mse")
    new = changed(model, "normalization", "batch").model
    assert new.get_layer("c_batch_normalization").gamma.shape == (3,)
    x = np.random.default_rng(0).normal([[[5.0]], [[100.0]]], 2.0, (50, 2, 6, 6))
    scaled = changed(model, "input_scaling", "standardize", x=x).model.get_layer("standardize")
    np.testing.assert_allclose(np.asarray(scaled(x)).mean(axis=(0, 2, 3)), [0, 0], atol=1e-4)


def test_dropout_behind_each_hidden_dense_layer():
    model = chain(dense("a", "selu"), dense("b", None), layers.ReLU(name="r"), dense("c"))
    new = changed(model, "dropout", 0.2, symptom="overfitting").model
    assert names(new) == ["a", "a_dropout", "b", "r", "r_dropout", "c", "c_dropout", "out"]
    assert type(new.get_layer("a_dropout")) is layers.AlphaDropout
    assert type(new.get_layer("r_dropout")) is layers.Dropout
    assert same_weights(model, new, "b")


def test_dropout_rates_are_lowered_or_raised():
    model = chain(dense("a"), layers.Dropout(0.8, name="d"), dense("b"),
                  layers.Dropout(0.1, name="e"))  # fmt: skip
    low = changed(model, "dropout", 0.2, symptom="excessive_dropout", named=("d",))
    assert [low.model.get_layer(name).rate for name in "de"] == [0.2, 0.1]
    assert (low.changes[0].before, low.changes[0].after) == ("0.8", "0.2")
    high = changed(model, "dropout", 0.2, symptom="overfitting").model
    assert [high.get_layer(name).rate for name in "de"] == [0.8, 0.2]
    none = changed(model, "dropout", 0.0, symptom="excessive_dropout").model
    assert [none.get_layer(name).rate for name in "de"] == [0, 0]
    assert changed(model, "dropout", 0.1, symptom="overfitting").not_changed


def test_l2_on_kernels_without_a_regularizer():
    model = chain(dense("a"), dense("b", kernel_regularizer="l1"))
    new = changed(model, "regularization", {"l2": 0.01}).model
    kinds = [type(one.kernel_regularizer).__name__ for one in new.layers]
    assert kinds == ["L2", "L1", "NoneType"]
    kernel = new.get_layer("a").kernel.numpy()
    one = new.get_layer("a").losses[0]
    assert float(one) == pytest.approx(0.01 * (kernel**2).sum(), rel=1e-5)
    assert all(same_weights(model, new, name) for name in ("a", "b", "out"))


def test_separable_and_transposed_convolutions():
    model = keras.Sequential(
        [keras.Input((6, 6, 2)), layers.SeparableConv2D(3, 3, activation="tanh", name="s"),
         layers.DepthwiseConv2D(2, name="d"), layers.Conv2DTranspose(3, 2, name="t"),
         layers.ReLU(name="r"), layers.GlobalAveragePooling2D(), layers.Dense(1)]
    )  # fmt: skip
    model.compile("sgd", "mse")
    new = changed(model, "initializer", "he_normal").model
    assert type(new.get_layer("s").pointwise_initializer) is keras.initializers.GlorotNormal
    assert type(new.get_layer("s").depthwise_initializer) is keras.initializers.GlorotUniform
    assert type(new.get_layer("t").kernel_initializer) is keras.initializers.HeNormal
    new = changed(model, "regularization", {"l2": 0.01}).model
    assert new.get_layer("s").pointwise_regularizer.l2 == pytest.approx(0.01)
    assert names(changed(model, "normalization", "batch").model)[:3] == [
        "s", "s_batch_normalization", "s_activation"
    ]  # fmt: skip


# ---------------------------------------------------------------- which weights


def test_weights_before_a_change_are_kept():
    model = chain(dense("a", "relu"), dense("b", "tanh"), dense("c", "relu"))
    new = changed(model, "activation", "elu", symptom="vanishing_gradient", named=("b",)).model
    assert same_weights(model, new, "a")
    assert not any(same_weights(model, new, name) for name in ("b", "c", "out"))


def test_all_weights_are_kept_where_no_function_changed():
    for kind, value in (("clipping", {"clipnorm": 1.0}), ("optimizer", "adam"), ("dropout", 0.2)):
        model = skip()
        new = changed(model, kind, value).model
        np.testing.assert_array_equal(new.predict(X, verbose=0), model.predict(X, verbose=0))


@pytest.mark.parametrize("symptom", ["dying_relu", "non_finite", "learning_rate_too_high"])
def test_all_weights_are_drawn_anew_after_damage_but_frozen_ones(symptom):
    model = skip()
    model.get_layer("a").trainable = False
    new = changed(model, "clipping", {"clipnorm": 1.0}, symptom=symptom).model
    assert same_weights(model, new, "a")
    assert not new.get_layer("a").trainable
    assert not same_weights(model, new, "b")


def test_weights_that_are_not_finite_are_not_kept():
    model = skip()
    model.get_layer("b").kernel.assign(np.full((3, 3), np.nan))
    new = changed(model, "clipping", {"clipnorm": 1.0}).model
    assert np.isfinite(new.predict(X, verbose=0)).all()


def test_a_change_in_a_shared_layers_later_call_reaches_what_it_feeds():
    inputs = keras.Input((3,), name="in")
    shared, last = dense("shared", "tanh"), layers.Dense(1, name="out")
    h = dense("b", "relu")(shared(inputs))
    model = keras.Model(inputs, last(shared(h)))
    model.compile("sgd", "mse")
    new = changed(model, "activation", "elu", symptom="dying_relu", named=("b",)).model
    assert not same_weights(model, new, "shared")
    new = changed(model, "activation", "elu", symptom="overfitting", named=("b",)).model
    assert not same_weights(model, new, "shared")
    assert not same_weights(model, new, "out")


def test_adapted_statistics_survive_damage():
    normalization = layers.Normalization(name="n")
    normalization.adapt(X)
    model = chain(normalization, dense("a", "relu"))
    new = changed(model, "learning_rate", 1e-3, symptom="non_finite").model
    np.testing.assert_array_equal(new.get_layer("n")(X), normalization(X))


# ---------------------------------------------------------------- structures


def test_layers_of_nested_models_are_changed_where_they_are():
    deep = keras.Sequential([keras.Input((4,)), dense("a", "sigmoid"), dense("b")], name="deep")
    middle = keras.Sequential([keras.Input((4,)), deep, dense("a", "sigmoid", 2)], name="middle")
    inputs = keras.Input((4,))
    model = keras.Model(inputs, layers.Dense(1, name="out")(middle(inputs)), name="top")
    model.compile("sgd", "mse")
    made = changed(model, "activation", "relu", symptom="vanishing_gradient", named=("middle/a",))
    deepest = made.model.get_layer("middle").get_layer("deep")
    assert activations(deepest) == ["relu", "tanh"]
    assert activations(made.model.get_layer("middle")) == ["relu"]
    assert len(made.changes[0].layers) == 2
    new = changed(model, "normalization", "batch").model
    assert names(new.get_layer("middle").get_layer("deep"))[1] == "a_batch_normalization"
    new.fit(X, Y, verbose=0)


def test_a_sequential_model_without_input_is_changed_before_it_is_built():
    model = keras.Sequential([dense("a"), dense("b"), layers.Dense(1)])
    model.compile("sgd", "mse")
    new = changed(model, "activation", "elu").model
    assert not new.built
    new = changed(model, "input_scaling", "standardize", x=X).model
    new.fit(X, Y, verbose=0)
    np.testing.assert_allclose(new.layers[0](X), (X - X.mean(0)) / X.std(0), atol=1e-5)
    made = changed(model, "input_scaling", "standardize")
    assert "does not say the shape" in made.not_changed[0]
    changed(model, "learning_rate", x=X, y=Y).model.fit(X, Y, verbose=0)


def test_findings_of_the_model_that_was_made_name_layers_of_the_given_one():
    model = skip()
    first = changed(model, "activation", "elu").model
    made = changed(model, "activation", "relu", named=("a_activation",))
    assert "a_activation" in names(first)
    assert made.changes[0].layers == ("a", "b")


def test_applying_twice_gives_names_that_are_unique():
    kinds = [("input_scaling", "standardize"), ("normalization", "batch"), ("dropout", 0.2),
             ("target_scaling", {"mean": 5.0, "std": 3.0}), ("activation", "elu")]  # fmt: skip
    choices = [(finding(remedy(*one)), remedy(*one)) for one in kinds]
    once = apply_remedies(skip(), choices, X, Y).model
    twice = apply_remedies(once, choices, X, Y)
    assert names(twice.model) == names(once)
    assert len(twice.not_changed) == len(kinds)


def test_names_that_are_taken():
    model = chain(dense("a"), layers.Rescaling(1.0, name="a_activation"), dense("b"))
    new = changed(model, "activation", "elu").model
    assert names(new) == ["a", "a_activation_1", "a_activation", "b", "b_activation", "out"]
