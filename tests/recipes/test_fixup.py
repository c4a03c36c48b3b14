"""Fixup: factors by hand, blocks of all kinds, what is refused; and that it lets depth train."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from trainwell.recipes.fixup import fixup
from trainwell.recipes.layers.skip_init import SkipInit
from trainwell.recipes.mlp import mlp

X = np.random.default_rng(0).normal(size=(32, 6)).astype(np.float32)
layers = keras.layers


def dense(name, units=6, activation=None):
    return layers.Dense(
        units,
        activation,
        kernel_initializer=keras.initializers.HeNormal(seed=len(name) + sum(map(ord, name))),
        bias_initializer=keras.initializers.RandomNormal(seed=sum(map(ord, name))),
        name=name,
    )


def residual(blocks, depth, skip_init=False, operator=False, outputs=3):
    x = inputs = keras.Input((6,))
    for b in range(blocks):
        branch = x
        for i in range(depth):
            branch = dense(f"b{b}_{i}", activation="relu" if i < depth - 1 else None)(branch)
        if skip_init:
            branch = SkipInit(name=f"b{b}_scale")(branch)
        x = x + branch if operator else layers.Add(name=f"b{b}_add")([x, branch])
    if outputs:
        x = dense("output", outputs, "softmax")(x)
    return keras.Model(inputs, x)


def weights(model):
    return {weight.path: weight.numpy().copy() for weight in model.weights}


def assert_only_changed(model, before, factors, zeroed):
    """Kernels multiplied by `factors`, layers in `zeroed` at 0, and nothing else changed."""
    for path, value in weights(model).items():
        layer = path.split("/")[-2]
        if layer in zeroed:
            expected = np.zeros_like(value)
        else:
            kernel = path.endswith("kernel")
            expected = before[path] * np.float32(factors.get(layer, 1.0) if kernel else 1.0)
        np.testing.assert_allclose(value, expected, rtol=1e-6, err_msg=path)


@pytest.mark.parametrize("operator", [False, True])
@pytest.mark.parametrize(
    ("blocks", "depth", "factor"),
    # L^(-1 / (2m - 2)): 4^(-1/2), 16^(-1/4), 27^(-1/6), and nothing to scale where m = 1
    [(4, 2, 0.5), (16, 3, 0.5), (27, 4, 27 ** (-1 / 6)), (1, 2, 1.0), (5, 1, 1.0)],
)
def test_factors_by_hand(blocks, depth, factor, operator):
    model = residual(blocks, depth, operator=operator)
    before = weights(model)
    report = fixup(model)
    last = {f"b{b}_{depth - 1}" for b in range(blocks)}
    inner = {f"b{b}_{i}": factor for b in range(blocks) for i in range(depth - 1)}
    assert_only_changed(model, before, inner, {*last, "output"})
    assert [row.factor for row in report] == pytest.approx([factor] * blocks)
    assert report[0].scaled == tuple(f"b0_{i}" for i in range(depth - 1))
    assert report[0].zeroed == (f"b0_{depth - 1}",)
    if not operator:
        assert [row.add for row in report] == [f"b{b}_add" for b in range(blocks)]


def test_blocks_are_the_identity_and_outputs_are_even():
    model = residual(10, 2)
    fixup(model)
    np.testing.assert_allclose(np.asarray(model(X)), 1 / 3, rtol=1e-6)
    features = keras.Model(model.input, model.get_layer("b9_add").output)
    np.testing.assert_array_equal(np.asarray(features(X)), X)


def test_skip_init_becomes_the_multiplier():
    model = residual(4, 2, skip_init=True)
    before = weights(model)
    fixup(model)
    for b in range(4):
        path = f"b{b}_scale/scale"
        assert before.pop(path) == 0
        assert model.get_layer(f"b{b}_scale").scale.numpy() == 1
    # Not all gradients are zero behind a zero kernel.
    with tf.GradientTape() as tape:
        loss = tf.reduce_mean((keras.Model(model.input, model.layers[-2].output)(X) - 1) ** 2)
    kernel = model.get_layer("b3_1").kernel
    assert np.asarray(tape.gradient(loss, kernel.value)).any()


def test_a_projection_shortcut_keeps_its_kernel():
    x = inputs = keras.Input((6,))
    branch = dense("second", 9)(layers.ReLU()(dense("first", 9)(layers.ReLU()(x))))
    x = layers.Add(name="add")([dense("projection", 9)(x), branch])
    model = keras.Model(inputs, dense("output", 2)(layers.Dropout(0.5)(layers.ReLU()(x))))
    before = weights(model)
    [row] = fixup(model)
    assert row == ("add", 1.0, ("first",), ("second",))
    assert_only_changed(model, before, {}, {"second", "output"})


def test_convolutions_without_a_classifier():
    x = inputs = keras.Input((8, 8, 3))
    x = layers.Conv2D(4, 3, padding="same", name="stem")(x)
    for b in range(4):
        branch = layers.Conv2D(4, 3, padding="same", activation="relu", name=f"b{b}_0")(x)
        branch = layers.Conv2D(4, 3, padding="same", name=f"b{b}_1")(branch)
        x = layers.ReLU()(layers.Add()([branch, x]))
    model = keras.Model(inputs, layers.GlobalAveragePooling2D()(x))
    before = weights(model)
    assert len(fixup(model)) == 4
    assert_only_changed(
        model, before, {f"b{b}_0": 0.5 for b in range(4)}, {f"b{b}_1" for b in range(4)}
    )


def test_nested_models():
    branches = [
        keras.Sequential(
            [keras.Input((6,)), dense(f"b{b}_0", activation="relu"), dense(f"b{b}_1")],
            name=f"branch_{b}",
        )
        for b in range(4)
    ]
    x = backbone_inputs = keras.Input((6,))
    for branch in branches:
        x = layers.Add()([x, branch(x)])
    backbone = keras.Model(backbone_inputs, x, name="backbone")
    model = keras.Sequential([keras.Input((6,)), backbone, dense("output", 2)])
    before = weights(model)
    report = fixup(model)
    assert [row.factor for row in report] == [0.5] * 4
    assert report[0].scaled[0].endswith("branch_0/b0_0")
    assert_only_changed(
        model,
        before,
        {f"b{b}_0": 0.5 for b in range(4)},
        {*(f"b{b}_1" for b in range(4)), "output"},
    )


def test_a_long_skip_over_two_blocks():
    """The inner blocks are branches of their own; the long one has what is left."""
    start = inputs = keras.Input((6,))
    x = dense("body_in")(start)
    for b in range(2):
        x = layers.Add()([x, dense(f"b{b}_1")(layers.ReLU()(dense(f"b{b}_0")(x)))])
    x = layers.Add(name="long")([start, dense("body_out")(x)])
    model = keras.Model(inputs, x)
    before = weights(model)
    report = fixup(model)
    assert report[-1].add == "long"
    assert report[-1].scaled == ("body_in",)
    # three branches of two layers: 3^(-1/2)
    assert_only_changed(
        model,
        before,
        dict.fromkeys(("b0_0", "b1_0", "body_in"), 3**-0.5),
        {"b0_1", "b1_1", "body_out"},
    )


def test_two_branches_beside_a_shortcut_and_a_shared_layer():
    x = inputs = keras.Input((6,))
    shared = dense("shared")
    one, two = (dense(f"last_{i}")(layers.ReLU()(shared(x))) for i in range(2))
    model = keras.Model(inputs, layers.Add()([one, x, two]))
    before = weights(model)
    report = fixup(model)
    assert len(report) == 2
    assert_only_changed(model, before, {"shared": 2**-0.5}, {"last_0", "last_1"})


def losses(blocks, fixed):
    model = residual(blocks, 2)
    if fixed:
        fixup(model)
    model.compile(keras.optimizers.SGD(0.1), "sparse_categorical_crossentropy")
    y = (X[:, 0] > 0).astype(int)
    return model.fit(X, y, batch_size=32, epochs=15, verbose=0).history["loss"]


def test_twenty_blocks_train_only_with_it():
    fixed = losses(20, True)
    assert fixed[0] == pytest.approx(np.log(3), rel=1e-5)
    assert fixed[-1] < 0.7
    # He normal doubles the variance in each block: 2^20, and NaN after a step.
    assert not losses(20, False)[-1] < np.log(3)


@pytest.mark.parametrize("jit_compile", [False, True])
def test_every_variable_gets_a_gradient_after_two_steps(jit_compile):
    model = residual(6, 2)
    fixup(model)
    model.compile(keras.optimizers.SGD(0.1), "sparse_categorical_crossentropy")
    model.jit_compile = jit_compile
    y = np.arange(32) % 3
    before = weights(model)
    model.fit(X, y, batch_size=32, epochs=3, verbose=0)
    for path, value in weights(model).items():
        assert np.isfinite(value).all()
        assert not np.array_equal(value, before[path]), path


def test_the_result_saves_and_loads(tmp_path):
    model = residual(3, 2, skip_init=True)
    fixup(model)
    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    for path, value in weights(model).items():
        np.testing.assert_array_equal(weights(loaded)[path], value)


def two_towers():
    a, b = keras.Input((6,)), keras.Input((6,))
    return keras.Model([a, b], layers.Add()([dense("a")(a), dense("bb")(dense("b")(b))]))


def equal_paths():
    inputs = keras.Input((6,))
    return keras.Model(inputs, layers.Add()([dense("a")(inputs), dense("b")(inputs)]))


def normalized(kind):
    def build():
        x = inputs = keras.Input((6,))
        x = layers.Add()([x, dense("b")(kind(name="norm")(dense("a")(x)))])
        return keras.Model(inputs, x)

    return build


def fixed_before():
    model = residual(3, 2)
    fixup(model)
    return model


class Subclassed(keras.Model):
    def __init__(self):
        super().__init__()
        self.dense = layers.Dense(6)

    def call(self, x):
        return x + self.dense(x)


def built_subclassed():
    model = Subclassed()
    model(X)
    return model


BAD = [
    (lambda: mlp(6, [5], 3), r"must have residual blocks.*Received: model="),
    (two_towers, r"must have residual blocks"),
    (equal_paths, r"must have residual blocks"),
    (built_subclassed, r"subclassed models and layers they can't be seen"),
    (Subclassed, r"must be a built keras\.Model"),
    (lambda: None, r"Received: model=None"),
    (normalized(layers.BatchNormalization), r"without normalization.*BatchNormalization, 'norm'"),
    (normalized(layers.LayerNormalization), r"LayerNormalization"),
    (fixed_before, r"scales only once.*Build it anew"),
]


@pytest.mark.parametrize(("build", "message"), BAD)
def test_refused_models_stay_as_they_were(build, message):
    model = build()
    before = weights(model) if isinstance(model, keras.Model) else {}
    with pytest.raises(ValueError, match=message):
        fixup(model)
    for path, value in before.items():
        np.testing.assert_array_equal(weights(model)[path], value)


def test_standardized_inputs_are_no_normalization():
    x = inputs = keras.Input((6,))
    x = layers.Normalization(mean=0.5, variance=2.0)(x)
    x = layers.Add()([x, dense("b")(dense("a")(x))])
    assert len(fixup(keras.Model(inputs, x))) == 1
