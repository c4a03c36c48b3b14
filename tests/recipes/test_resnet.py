"""`resnet`: sizes of He et al., both versions against plain TensorFlow, depth, bad arguments."""

import sys

import keras
import numpy as np
import pytest
import tensorflow as tf

from trainwell.callbacks.gradient_norms import GradientNorms
from trainwell.recipes.resnet import resnet

RNG = np.random.default_rng(0)
X = RNG.normal(size=(6, 8, 8, 3)).astype(np.float32)
Y = np.arange(6) % 4

KINDS = {
    "basic": {"depth": 8},
    "basic projection": {"depth": 8, "shortcut": "projection"},
    "bottleneck": {"depth": 11},
    "pre-activation": {"depth": 8, "version": 2},
    "pre-activation projection": {"depth": 8, "version": 2, "shortcut": "projection"},
    "pre-activation bottleneck": {"depth": 11, "version": 2},
}
every_kind = pytest.mark.parametrize("kind", KINDS.values(), ids=KINDS)


def small(**arguments):
    return resnet(**{"input_shape": (8, 8, 3), "outputs": 4, "depth": 8, "width": 2, **arguments})


def trainable(model):
    return sum(int(np.prod(v.shape)) for v in model.trainable_weights)


def values(model):
    return {v.path: v.numpy() for v in model.weights}


def gradients(model):
    with tf.GradientTape() as tape:
        loss = keras.losses.sparse_categorical_crossentropy(Y, model(X, training=True))
    return tape.gradient(loss, [v.value for v in model.trainable_weights])


@pytest.fixture
def nested(monkeypatch):
    """Makes nets of any depth as those are made that are too deep for one graph."""
    monkeypatch.setattr(sys.modules["trainwell.recipes.resnet"], "_FLAT_DEPTH", 0)


# ---------------------------------------------------------------- structure


def counted(n):
    """Trainable parameters of depth 6n + 2, width 16, on 3 channels and 10 classes, option A."""
    kernels, scales = 9 * 3 * 16, 2 * 16
    for before, width in ((16, 16), (16, 32), (32, 64)):
        kernels += 9 * before * width + (2 * n - 1) * 9 * width * width
        scales += 2 * n * 2 * width
    return kernels + scales + 64 * 10 + 10


def test_parameters_are_those_of_table_6_of_he_et_al():
    millions = {20: 0.27, 32: 0.46, 44: 0.66, 56: 0.85, 110: 1.7, 1202: 19.4}
    for depth, published in millions.items():
        digits = 2 if depth < 100 else 1
        assert round(counted((depth - 2) // 6) / 1e6, digits) == published
    for depth in (8, 20, 44):
        assert trainable(resnet((32, 32, 3), 10, depth=depth)) == counted((depth - 2) // 6)


def test_parameters_of_the_other_kinds_by_hand():
    option_a = counted(1)
    # 1x1 kernels 16 -> 32 and 32 -> 64, and in version 1 their normalizations
    projections = 16 * 32 + 32 * 64
    deep = {"input_shape": (32, 32, 3), "outputs": 10, "depth": 8}
    assert trainable(resnet(**deep, shortcut="projection")) == option_a + projections + 2 * 96
    pre = trainable(resnet(**deep, version=2))
    # Normalizations come before: the last conv's is the end's, the first's sees what enters.
    assert pre == option_a
    assert trainable(resnet(**deep, version=2, shortcut="projection")) == pre + projections
    # The pre-activation bottlenecks of He et al. 2016: 1.7 million at 164, by three sums.
    kernels, scales, before = 9 * 3 * 16, 0, 16
    for width in (16, 32, 64):
        kernels += before * 4 * width
        for _ in range(2):
            kernels += before * width + 9 * width * width + width * 4 * width
            scales += 2 * (before + 2 * width)
            before = 4 * width
    model = resnet((32, 32, 3), 10, depth=20, version=2, shortcut="projection")
    assert trainable(model) == kernels + scales + 2 * 256 + 256 * 10 + 10


@pytest.mark.parametrize(
    ("arguments", "convolutions"),
    [
        ({"depth": 8}, 2),
        ({"depth": 14}, 2),
        ({"depth": 11}, 3),
        ({"depth": 20}, 2),
        ({"depth": 20, "version": 2}, 3),
        ({"depth": 20, "version": 2, "bottleneck": False}, 2),
        ({"depth": 20, "bottleneck": True}, 3),
        ({"depth": 14, "version": 2}, 2),
    ],
)
def test_depth_counts_the_layers_with_weights(arguments, convolutions):
    model = small(**arguments)
    weighted = [v for v in model.weights if v.path.endswith("kernel")]
    assert len(weighted) == arguments["depth"]
    adds = [layer.name for layer in model.layers if isinstance(layer, keras.layers.Add)]
    assert len(adds) * convolutions == arguments["depth"] - 2
    last_branch = [v.path for v in weighted if v.path.startswith("stage_3_block_1_")]
    assert last_branch == [f"stage_3_block_1_conv_{i}/kernel" for i in range(1, convolutions + 1)]


def test_layers_in_order():
    first = ["conv_1", "conv_1_batch_normalization", "conv_1_activation"]
    second = ["conv_2", "conv_2_batch_normalization"]
    model = small(adapt_to=X, name="net")
    names = [layer.name for layer in model.layers]
    assert model.name == "net"
    assert names[:5] == [
        *("input", "standardize"),
        *("stem_conv", "stem_conv_batch_normalization", "stem_conv_activation"),
    ]
    assert names[5:12] == [f"stage_1_block_1_{p}" for p in (*first, *second, "add", "activation")]
    assert sorted(names[12:21]) == sorted(
        f"stage_2_block_1_{part}"
        for part in (*first, *second, "add", "activation", "shortcut_subsample", "shortcut_pad")
    )
    assert names[-2:] == ["global_pooling", "output"]
    assert [v.path for v in model.weights if v.path.endswith("bias")] == ["output/bias"]
    assert not model.compiled


def test_the_identity_shortcut_takes_every_second_pixel_and_adds_zeros():
    model = resnet((7, 8, 3), 4, depth=8, width=2)
    ends = [model.get_layer(f"stage_{name}") for name in ("1_block_1_activation",)]
    ends.append(model.get_layer("stage_2_block_1_shortcut_pad"))
    x = RNG.normal(size=(2, 7, 8, 3)).astype(np.float32)
    before, after = keras.Model(model.input, [end.output for end in ends])(x)
    np.testing.assert_array_equal(after[..., :2], np.asarray(before)[:, ::2, ::2])
    np.testing.assert_array_equal(after[..., 2:], np.zeros((2, 4, 4, 2)))


# ---------------------------------------------------------------- against plain TensorFlow


def reference(weights, x, version, convolutions, projection):
    """The network of depth 3 * convolutions + 2 in inference, by its equations."""

    def conv(name, h, strides=1):
        return tf.nn.conv2d(h, weights[f"{name}/kernel"], strides, "SAME")

    def norm(name, h):
        w = {part: weights[f"{name}_batch_normalization/{part}"] for part in PARTS}
        scale = w["gamma"] / np.sqrt(w["moving_variance"] + 1e-5)
        return (h - w["moving_mean"]) * scale + w["beta"]

    def carry(name, h, filters, strides):
        if h.shape[-1] == filters and strides == 1:
            return h
        if projection:
            h = conv(f"{name}_shortcut", h, strides)
            return norm(f"{name}_shortcut", h) if version == 1 else h
        return tf.pad(h[:, ::strides, ::strides], [[0, 0]] * 3 + [[0, filters - h.shape[-1]]])

    h = conv("stem_conv", x)
    if version == 1:
        h = tf.nn.relu(norm("stem_conv", h))
    for stage in (1, 2, 3):
        name, strides = f"stage_{stage}_block_1", 1 + (stage > 1)
        branch = carried = h
        for i in range(1, convolutions + 1):
            part = f"{name}_conv_{i}"
            if version == 2:
                branch = tf.nn.relu(norm(part, branch))
                carried = branch if i == 1 else carried
            branch = conv(part, branch, strides if i == 1 else 1)
            if version == 1:
                branch = norm(part, branch)
                branch = tf.nn.relu(branch) if i < convolutions else branch
        h = carry(name, carried, branch.shape[-1], strides) + branch
        h = tf.nn.relu(h) if version == 1 else h
    if version == 2:
        h = tf.nn.relu(norm("end", h))
    h = tf.reduce_mean(h, (1, 2)) @ weights["output/kernel"] + weights["output/bias"]
    return tf.nn.softmax(h)


PARTS = ("gamma", "beta", "moving_mean", "moving_variance")


@every_kind
def test_against_plain_tensorflow(kind):
    model = small(**kind, seed=0)
    for variable in model.weights:
        if variable.path.rpartition("/")[2] in PARTS:
            variable.assign(RNG.uniform(0.5, 1.5, variable.shape))
    version, projection = kind.get("version", 1), "shortcut" in kind
    expected = reference(values(model), X, version, (kind["depth"] - 2) // 3, projection)
    np.testing.assert_allclose(np.asarray(model(X)), expected, rtol=1e-4, atol=1e-6)


@every_kind
def test_every_variable_gets_a_gradient_and_the_model_comes_back_from_disk(kind, tmp_path):
    model = small(**kind, adapt_to=X)
    for variable, gradient in zip(model.trainable_weights, gradients(model), strict=True):
        assert gradient is not None, variable.path
        assert np.isfinite(gradient.numpy()).all(), variable.path
        assert gradient.numpy().any(), variable.path
    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    np.testing.assert_array_equal(np.asarray(loaded(X)), np.asarray(model(X)))


@pytest.mark.parametrize("activation", ["prelu", "leaky_relu", "elu", "swish", "rrelu"])
def test_other_activations(activation):
    model = small(activation=activation)
    assert all(np.isfinite(g.numpy()).all() for g in gradients(model))
    if activation == "prelu":
        assert model.get_layer("stage_2_block_1_activation").alpha.shape == (1, 1, 4)


# ---------------------------------------------------------------- start


@every_kind
def test_zero_branches_leave_the_shortcuts_and_wake_up(kind):
    model = small(**kind, zero_branches=True, seed=0)
    first = {v.path: g.numpy() for v, g in zip(model.trainable_weights, gradients(model), strict=1)}
    adds = [layer for layer in model.layers if isinstance(layer, keras.layers.Add)]
    branches = keras.Model(model.input, [layer.input[1] for layer in adds])(X, training=True)
    for branch in branches:
        np.testing.assert_array_equal(branch, np.zeros(branch.shape))
    # The zeros themselves learn at once, what is before them in the branch from then on.
    version, last = kind.get("version", 1), (kind["depth"] - 2) // 3
    part = f"stage_2_block_1_conv_{last}"
    zero = f"{part}/kernel" if version == 2 else f"{part}_batch_normalization/gamma"
    assert first[zero].any()
    assert not first["stage_2_block_1_conv_1/kernel"].any()
    for variable in model.trainable_weights:
        variable.assign_sub(0.1 * first[variable.path])
    for variable, gradient in zip(model.trainable_weights, gradients(model), strict=True):
        assert gradient.numpy().any(), variable.path


def test_inference_of_a_fresh_deep_net_is_finite_with_zero_branches():
    # Fresh statistics don't normalize: every branch doubles the variance.
    shape = {"input_shape": (8, 8, 1), "outputs": 4, "depth": 44, "width": 4, "seed": 0}
    x = X[..., :1]
    sizes = []
    for zero in (False, True):
        model = resnet(**shape, zero_branches=zero, output_activation="linear")
        sizes.append(float(np.abs(np.asarray(model(x))).max()))
    assert sizes[0] > 100 > sizes[1]


def test_variance_of_each_kernel():
    model = resnet((8, 8, 3), 40, depth=8, width=16, shortcut="projection", seed=0)
    for variable in model.weights:
        if variable.path.endswith("kernel"):
            kernel = variable.numpy()
            fan_in = kernel[..., 0].size
            variance = 2 / (fan_in + 40) if variable.path == "output/kernel" else 2 / fan_in
            tolerance = 5 * (2 / kernel.size) ** 0.5
            assert kernel.var() == pytest.approx(variance, rel=tolerance), variable.path


def test_the_seed_decides_and_no_two_kernels_are_equal():
    drawn = [values(small(depth=14, seed=seed)) for seed in (1, 1, 2)]
    kernels = [path for path in drawn[0] if path.endswith("kernel")]
    for path in kernels:
        np.testing.assert_array_equal(drawn[0][path], drawn[1][path])
        assert not np.isclose(drawn[0][path], drawn[2][path]).any()
    stage = [drawn[0][path] for path in kernels if path.startswith("stage_3_block_2")]
    assert not np.isclose(*stage).any()


def test_regularizer_and_constraint_reach_every_kernel():
    model = small(kernel_regularizer=keras.regularizers.L2(0.01), kernel_constraint=0.5)
    squares = sum((k.astype(float) ** 2).sum() for p, k in values(model).items() if "kernel" in p)
    assert sum(map(float, model.losses)) == pytest.approx(0.01 * squares, rel=1e-5)
    limit = model.get_layer("stage_2_block_1_conv_1").kernel_constraint
    ones = np.ones((3, 3, 2, 4), np.float32)
    norms = np.linalg.norm(limit(ones).numpy().reshape(-1, 4), axis=0)
    np.testing.assert_allclose(norms, 0.5, rtol=1e-5)


# ---------------------------------------------------------------- too deep for one graph


@pytest.mark.parametrize("kind", [KINDS["basic"], KINDS["pre-activation bottleneck"]])
def test_nested_blocks_are_the_same_network(kind, request, tmp_path):
    flat = small(**kind, seed=0)
    request.getfixturevalue("nested")
    deep = small(**kind, seed=0)
    assert len(deep.layers) < len(flat.layers)
    assert {v.path for v in deep.weights} == {v.path for v in flat.weights}
    np.testing.assert_array_equal(np.asarray(deep(X)), np.asarray(flat(X)))
    deep.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    np.testing.assert_array_equal(np.asarray(loaded(X)), np.asarray(flat(X)))
    clone = keras.models.clone_model(deep)
    clone.set_weights(deep.get_weights())
    np.testing.assert_array_equal(np.asarray(clone(X)), np.asarray(flat(X)))


def test_nested_blocks_under_mixed_precision(nested):
    outputs = []
    for policy in ("float32", "mixed_float16"):
        keras.config.set_dtype_policy(policy)
        try:
            outputs.append(np.asarray(small(seed=0)(X, training=True), np.float32))
        finally:
            keras.config.set_dtype_policy("float32")
    np.testing.assert_allclose(*outputs, atol=0.02)


def test_nested_blocks_are_watched_by_name_under_jit(nested):
    model = small(seed=0)
    model.compile("sgd", "sparse_categorical_crossentropy", jit_compile=True)
    monitor = GradientNorms()
    model.fit(X, Y, epochs=2, verbose=0, callbacks=[monitor])
    layers = monitor.record.layers
    assert layers[0] == "stem_conv"
    assert "stage_2_block_1_conv_2" in layers
    assert len(monitor.record.variables) == len(model.trainable_weights)
    assert (monitor.record["gradient_norm"] > 0).all()


def test_a_net_beyond_the_limit_is_nested():
    deepest, deeper = (resnet((8, 8), 2, depth=depth, width=1) for depth in (164, 170))
    assert "stage_3_block_27_conv_2" in {layer.name for layer in deepest.layers}
    assert [layer.name for layer in deeper.layers][-5:] == [
        *("stage_1", "stage_2", "stage_3", "global_pooling", "output")
    ]
    blocks = deeper.get_layer("stage_3").layers
    assert [block.name for block in blocks[1:]] == [f"stage_3_block_{i}" for i in range(1, 29)]
    assert deeper.get_layer("stage_2").output.shape == (None, 4, 4, 2)


# ---------------------------------------------------------------- bad arguments

BAD = [
    ({"depth": 21}, r"6n \+ 2 or 9n \+ 2 .*depth=21, bottleneck=None\. The nearest are 20, 26, 29"),
    ({"depth": 1200}, r"The nearest are 1196, 1199, 1202, 1208"),
    ({"depth": 1}, r"The nearest are 8, 11\."),
    ({"depth": 2}, r"The nearest are 8, 11\."),
    ({"depth": 1001, "bottleneck": False}, r"must be 6n \+ 2 with.*The nearest are 998, 1004\."),
    ({"depth": 26, "bottleneck": True}, r"must be 9n \+ 2 with.*The nearest are 20, 29\."),
    ({"depth": 0}, r"Received: depth=0"),
    ({"depth": 20.0}, r"Received: depth=20\.0"),
    ({"bottleneck": "yes"}, r"True or False\. Received: bottleneck='yes'"),
    ({"version": 3}, r"must be 1 .*or 2 \(pre-activation\)\. Received: version=3"),
    ({"version": True}, r"Received: version=True"),
    ({"version": "1"}, r"Received: version='1'"),
    ({"shortcut": "project"}, r"'identity', 'projection'.*Did you mean 'projection'"),
    ({"width": 0}, r"Received: width=0"),
    ({"zero_branches": 1}, r"True or False\. Received: zero_branches=1"),
    ({"input_shape": (784,)}, r"Received: input_shape=\(784,\)"),
    ({"input_shape": None}, r"Received: input_shape=None"),
    ({"outputs": -1}, r"Received: outputs=-1"),
    ({"outputs": 1}, r"is constant 1"),
    ({"activation": "rel"}, r"Did you mean 'relu'"),
    ({"kernel_initializer": "he_nrmal"}, r"he_nrmal"),
    ({"kernel_regularizer": "l3"}, r"kernel_regularizer='l3'"),
    ({"kernel_constraint": -1}, r"Received: kernel_constraint=-1"),
    ({"output_activation": "sofmax"}, r"Did you mean 'softmax'"),
    ({"adapt_to": X[:, :4]}, r"Received: adapt_to of shape \(6, 4, 8, 3\)"),
    ({"seed": 0.5}, r"Received: seed=0\.5"),
    ({"bias_initializer": "zeroes"}, r"zeroes"),
    ({"activation_options": {"slope": 1}}, r"Received: slope=1"),
]


@pytest.mark.parametrize(("arguments", "message"), BAD)
def test_bad_arguments(arguments, message):
    with pytest.raises(ValueError, match=message):
        small(**arguments)
