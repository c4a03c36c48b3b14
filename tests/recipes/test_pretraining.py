"""Greedy pretraining: energies by enumeration, gradients by a tape, losses by NumPy."""

import itertools
import math

import keras
import numpy as np
import pytest
import tensorflow as tf

from trainwell.recipes._autoencoder import DenoisingAutoencoder
from trainwell.recipes._restricted_boltzmann import RestrictedBoltzmannMachine
from trainwell.recipes.mlp import mlp
from trainwell.recipes.pretraining import greedy_pretrain

RNG = np.random.default_rng(0)
# In [0, 1], with structure: two patterns and noise.
PATTERNS = np.float32([[0.9, 0.9, 0.9, 0.1, 0.1, 0.1], [0.1, 0.1, 0.9, 0.9, 0.9, 0.1]])
X = np.clip(PATTERNS[RNG.integers(0, 2, 64)] + RNG.normal(0, 0.05, (64, 6)), 0, 1).astype("float32")
BINARY = (PATTERNS[RNG.integers(0, 2, 64)] > RNG.uniform(size=(64, 6))).astype("float32")


# Tracing takes longer than these few steps do.
@pytest.fixture
def eager():
    tf.config.run_functions_eagerly(True)
    yield
    tf.config.run_functions_eagerly(False)


def deep(activation="sigmoid", **arguments):
    return mlp(6, [5, 4], 3, activation=activation, seed=0, **arguments)


def kernel(model, name):
    return model.get_layer(name).kernel.numpy()


def sigmoid(z):
    return 1 / (1 + np.exp(-z))


def weights_of(model):
    return [w.copy() for w in model.get_weights()]


def equal(first, second):
    return [np.array_equal(a, b) for a, b in zip(first, second, strict=True)]


# Autoencoders


@pytest.mark.parametrize("binary", [True, False])
def test_the_loss_of_the_first_step_by_hand(binary):
    model = mlp(6, [4], 3, activation="tanh", kernel_regularizer=keras.regularizers.L2(0.5), seed=0)
    x = X if binary else 3 * X
    weights = kernel(model, "hidden_1")
    # One batch: its loss is that of the weights as they were.
    history = greedy_pretrain(model, x, noise=0, epochs=1, batch_size=64, seed=0)["hidden_1"]
    mean = x.mean(axis=0)
    bias = np.log(mean / (1 - mean)) if binary else mean
    output = np.tanh(x @ weights) @ weights.T + bias
    if binary:
        output = sigmoid(output)
        loss = -(x * np.log(output) + (1 - x) * np.log(1 - output)).mean()
    else:
        loss = np.square(x - output).mean()
    assert history["loss"] == [pytest.approx(loss + 0.5 * np.square(weights).sum(), rel=1e-5)]
    assert history["reconstruction_error"] == [
        pytest.approx(np.square(x - output).mean(), rel=1e-5)
    ]
    assert not np.isclose(kernel(model, "hidden_1"), weights).any()


@pytest.mark.parametrize("tied_weights", [True, False])
def test_a_linear_autoencoder_finds_the_principal_components(tied_weights):
    x = (
        RNG.normal(size=(256, 4))
        @ np.diag([3, 2, 1, 0.5])
        @ np.linalg.qr(RNG.normal(size=(4, 4)))[0]
    )
    x -= x.mean(axis=0)
    lost = np.linalg.svd(x, compute_uv=False)[2:]
    best = np.square(lost).sum() / x.size
    model = mlp(4, [2], 3, activation=None, seed=0)
    history = greedy_pretrain(
        model, x, noise=0, tied_weights=tied_weights, epochs=60, learning_rate=0.02, seed=0
    )["hidden_1"]["reconstruction_error"]
    # No linear code of two numbers loses less; float32 sums are exact to 1e-6.
    assert best * (1 - 1e-6) < history[-1] < 1.03 * best < history[0]


def autoencoder(inputs, **arguments):
    dense = keras.layers.Dense(3)
    dense.build((None, inputs.shape[1]))
    arguments = {"noise": 0.25, "corruption": "masking", "tied_weights": True, **arguments}
    return DenoisingAutoencoder([dense], inputs, **arguments, seed=1)


N = 20_000
ONES = np.ones((N // 20, 20), np.float32)


@pytest.mark.parametrize("noise", [0.1, 0.6])
def test_shares_of_corrupted_inputs(noise):
    masked = np.asarray(autoencoder(ONES, noise=noise).corrupted(0.5 * ONES))
    # What is not masked is as it was, not scaled up as by dropout.
    assert set(np.unique(masked)) == {0.0, 0.5}
    assert (masked == 0).mean() == pytest.approx(noise, abs=5 * math.sqrt(noise * (1 - noise) / N))

    inputs = np.concatenate([-2 * ONES, 3 * ONES])
    machine = autoencoder(inputs, corruption="salt_and_pepper", noise=noise)
    salted = np.asarray(machine.corrupted(0.5 * ONES))
    assert set(np.unique(salted)) == {-2.0, 0.5, 3.0}
    half = noise / 2
    for value in (-2, 3):
        bound = 5 * math.sqrt(half * (1 - half) / N)
        assert (salted == value).mean() == pytest.approx(half, abs=bound)


def test_gaussian_noise():
    machine = autoencoder(ONES, corruption="gaussian", noise=2.0)
    noise = np.asarray(machine.corrupted(ONES)) - 1
    assert noise.mean() == pytest.approx(0, abs=5 * 2 / math.sqrt(N))
    # N (s / 2)² is chi-squared with N degrees of freedom: relative deviation sqrt(2 / N).
    assert noise.var() == pytest.approx(4, rel=5 * math.sqrt(2 / N))


def test_noise_is_for_training_and_differs_between_steps():
    machine = autoencoder(ONES)
    clean, again = np.asarray(machine(ONES)), np.asarray(machine(ONES))
    np.testing.assert_array_equal(clean, again)
    first, second = (np.asarray(machine(ONES, training=True)) for _ in range(2))
    assert not np.isclose(first, second).all()
    assert not np.isclose(first, clean).all()


# Restricted Boltzmann machines


def machine_of(visible, inputs=BINARY, units=3, **arguments):
    dense = keras.layers.Dense(units, kernel_initializer=keras.initializers.RandomNormal(seed=0))
    dense.build((None, inputs.shape[1]))
    dense.kernel.assign(RNG.normal(size=(inputs.shape[1], units)))
    dense.bias.assign(RNG.normal(size=units))
    arguments = {"gibbs_steps": 1, "weight_decay": 0.0, **arguments}
    return RestrictedBoltzmannMachine(dense, inputs, visible=visible, **arguments, seed=1)


@pytest.mark.parametrize("visible", ["bernoulli", "gaussian"])
def test_the_free_energy_sums_over_all_hidden_states(visible):
    machine = machine_of(visible)
    w, b = machine.dense.kernel.numpy(), machine.dense.bias.numpy()
    a = machine.visible_bias.numpy()
    own = -X @ a if visible == "bernoulli" else np.square(X - a).sum(axis=1) / 2
    states = np.array(list(itertools.product([0, 1], repeat=3)))
    energies = own[:, None] - (X @ w + b) @ states.T
    expected = -np.log(np.exp(-energies).sum(axis=1))
    np.testing.assert_allclose(np.asarray(machine.free_energy(X)), expected, rtol=1e-4)


@pytest.mark.parametrize("visible", ["bernoulli", "gaussian"])
def test_the_update_is_the_gradient_of_the_free_energies(visible):
    machine = machine_of(visible, weight_decay=0.25)
    data, imagined = tf.constant(X), tf.random.stateless_uniform(X.shape, seed=[0, 1])
    pairs = machine.gradients(data, imagined)
    with tf.GradientTape() as tape:
        gap = tf.reduce_mean(machine.free_energy(data) - machine.free_energy(imagined))
        gap += 0.25 * tf.nn.l2_loss(machine.dense.kernel.value)
    variables = [variable for _, variable in pairs]
    assert [v.name for v in variables] == ["kernel", "visible_bias", "bias"]
    expected = tape.gradient(gap, [variable.value for variable in variables])
    for (gradient, _), reference in zip(pairs, expected, strict=True):
        np.testing.assert_allclose(gradient, reference, rtol=1e-4, atol=1e-6)


def log_likelihood(machine, data):
    """Exact: with 6 binary visible units there are 64 of them."""
    everything = np.array(list(itertools.product([0, 1], repeat=6)), np.float32)
    normal = np.log(np.exp(-np.asarray(machine.free_energy(everything))).sum())
    return float(-np.asarray(machine.free_energy(data)).mean() - normal)


@pytest.mark.parametrize("gibbs_steps", [1, 3])
def test_the_data_become_more_probable(gibbs_steps):
    machine = machine_of("bernoulli", gibbs_steps=gibbs_steps)
    machine.dense.kernel.assign(RNG.normal(0, 0.01, (6, 3)))
    machine.dense.bias.assign(np.zeros(3))
    before = log_likelihood(machine, BINARY)
    # With weights near 0 the units are independent, each with its mean: the best such model.
    mean = BINARY.mean(axis=0)
    independent = (mean * np.log(mean) + (1 - mean) * np.log(1 - mean)).sum()
    assert before == pytest.approx(independent, abs=0.01)
    machine.compile(keras.optimizers.SGD(0.1, 0.9))
    machine.fit(BINARY, batch_size=16, epochs=60, verbose=0)
    # The entropy of the data is a bound from above.
    _, counts = np.unique(BINARY, axis=0, return_counts=True)
    most = (counts / 64 * np.log(counts / 64)).sum()
    assert before + 0.3 < log_likelihood(machine, BINARY) < most


def test_hidden_samples_have_their_probabilities():
    machine = machine_of("gaussian", ONES, units=2)
    machine.dense.kernel.assign(np.eye(20, 2))
    machine.dense.bias.assign([0.0, -2.0])
    machine.visible_bias.assign(np.zeros(20))
    visible = np.zeros((N, 20), np.float32)
    # E[v|h] = h Wᵀ: the first two visible units are the hidden samples.
    hidden = np.asarray(machine.imagine(visible))[:, :2]
    assert set(np.unique(hidden)) == {0.0, 1.0}
    for unit, p in enumerate((0.5, sigmoid(-2))):
        assert hidden[:, unit].mean() == pytest.approx(p, abs=5 * math.sqrt(p * (1 - p) / N))


# greedy_pretrain


METHODS = ["autoencoder", "rbm"]


@pytest.mark.parametrize("method", METHODS)
def test_pretrains_in_place_all_but_the_output(method):
    model = deep()
    model.compile("adam", "sparse_categorical_crossentropy")
    labels = np.zeros(64)
    model.fit(X, labels, verbose=0)
    before, state = weights_of(model), [v.numpy() for v in model.optimizer.variables]
    # More epochs than the first phase of an RBM has.
    history = greedy_pretrain(model, X, method=method, epochs=7, seed=0)
    assert list(history) == ["hidden_1", "hidden_2"]
    measure = "loss" if method == "autoencoder" else "free_energy_gap"
    for values in history.values():
        assert set(values) == {measure, "reconstruction_error"}
        assert all(len(series) == 7 and np.isfinite(series).all() for series in values.values())
        assert values["reconstruction_error"][-1] < values["reconstruction_error"][0]
        assert all(type(value) is float for series in values.values() for value in series)
    # Two kernels and biases, and the output's.
    assert equal(before, model.get_weights()) == [False] * 4 + [True] * 2
    assert all(equal(state, [v.numpy() for v in model.optimizer.variables]))
    after = weights_of(model)
    model.fit(X, labels, verbose=0)
    assert not any(equal(after, model.get_weights()))


def functional(units=(5, 4)):
    return deep()


def sequential():
    layers = deep().layers
    return keras.Sequential([keras.Input((6,)), *layers[1:]])


def nested():
    first = keras.Sequential([keras.Input((6,)), *deep().layers[1:4]], name="first")
    inputs = keras.Input((6,))
    x = first(inputs)
    for layer in deep().layers[4:]:
        x = layer(x)
    return keras.Model(inputs, x)


def inactive():
    # Layers that act in training only are at rest.
    model = deep()
    x = model.inputs[0]
    for layer in model.layers[1:]:
        x = keras.layers.GaussianNoise(1.0)(keras.layers.Dropout(0.5)(layer(x)))
    return keras.Model(model.inputs, x)


@pytest.mark.parametrize("method", METHODS)
def test_however_the_chain_is_built(method, eager):
    results = []
    for build in (functional, sequential, nested, inactive):
        model = build()
        greedy_pretrain(model, X, method=method, epochs=2, seed=0)
        results.append(weights_of(model))
    for other in results[1:]:
        assert all(equal(results[0], other))


@pytest.mark.parametrize("method", METHODS)
def test_the_seed_alone_decides(method, eager):
    def trained(seed, global_seed):
        model = deep()
        keras.utils.set_random_seed(global_seed)
        greedy_pretrain(model, X, method=method, epochs=2, tied_weights=True, seed=seed)
        return kernel(model, "hidden_2")

    reference = trained(1, 5)
    np.testing.assert_array_equal(reference, trained(1, 6))
    assert not np.isclose(reference, trained(2, 5)).all()
    np.testing.assert_array_equal(trained(None, 5), trained(None, 5))
    assert not np.isclose(trained(None, 5), trained(None, 6)).all()


@pytest.mark.parametrize("method", METHODS)
def test_frozen_and_unnamed_layers_stay(method, eager):
    model = deep()
    model.get_layer("hidden_1").trainable = False
    before = weights_of(model)
    assert list(greedy_pretrain(model, X, method=method, epochs=1, seed=0)) == ["hidden_2"]
    assert equal(before, model.get_weights()) == [True, True, False, False, True, True]
    model = deep()
    before = weights_of(model)
    history = greedy_pretrain(model, X, method=method, layers=["hidden_1"], epochs=1, seed=0)
    assert list(history) == ["hidden_1"]
    assert equal(before, model.get_weights()) == [False] * 2 + [True] * 4


def test_an_encoder_alone(eager):
    encoder = keras.Sequential([keras.Input((6,)), keras.layers.Dense(2, "tanh", name="code")])
    assert list(greedy_pretrain(encoder, X, layers=["code"], epochs=1)) == ["code"]


@pytest.mark.parametrize("trainable", [True, False])
def test_batch_normalization_has_the_moments_of_all_clean_inputs(trainable, eager):
    model = deep("relu", normalization="batch", dropout=0.3, adapt_to=7 * X - 2)
    norm = model.get_layer("hidden_1_batch_normalization")
    norm.trainable = trainable
    before = weights_of(norm)
    greedy_pretrain(model, 7 * X - 2, epochs=3, batch_size=20, noise=0.4, seed=0)
    if not trainable:
        assert all(equal(before, weights_of(norm)))
        return
    inputs = keras.Model(model.inputs, model.get_layer("hidden_1").output).predict(7 * X - 2)
    np.testing.assert_allclose(norm.moving_mean, inputs.mean(axis=0), rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(norm.moving_variance, inputs.var(axis=0), rtol=1e-4)
    assert not np.isclose(norm.gamma, 1).any()


def test_rbm_takes_gaussian_visible_units_for_standardized_inputs(eager):
    x = 7 * BINARY - 2
    model = mlp((2, 3), [5, 4], 3, activation="sigmoid", adapt_to=x.reshape(-1, 2, 3), seed=0)
    history = greedy_pretrain(model, x.reshape(-1, 2, 3), method="rbm", epochs=20, seed=0)
    errors = history["hidden_1"]["reconstruction_error"]
    # 1 is the error of reconstructing standardized inputs by their mean.
    assert errors[-1] < min(1, errors[0])
    same = greedy_pretrain(
        mlp(6, [5], 3, activation="sigmoid", adapt_to=x, seed=0),
        x,
        method="rbm",
        visible="gaussian",
    )
    assert list(same) == ["hidden_1"]


def test_a_small_deep_belief_network_is_tuned_and_saved(tmp_path):
    model = mlp(6, [8, 8, 12], 2, activation="sigmoid", seed=0)
    history = greedy_pretrain(model, BINARY, method="rbm", epochs=15, batch_size=8, seed=0)
    assert list(history) == ["hidden_1", "hidden_2", "hidden_3"]
    for values in history.values():
        assert values["reconstruction_error"][-1] < 0.8 * values["reconstruction_error"][0]
    labels = BINARY[:, 0].astype(int)
    model.compile(
        keras.optimizers.Adam(0.01), "sparse_categorical_crossentropy", metrics=["accuracy"]
    )
    assert (
        model.fit(BINARY, labels, epochs=40, batch_size=8, verbose=0).history["accuracy"][-1] == 1
    )
    model.save(tmp_path / "dbn.keras")
    loaded = keras.models.load_model(tmp_path / "dbn.keras")
    np.testing.assert_array_equal(
        loaded.predict(BINARY, verbose=0), model.predict(BINARY, verbose=0)
    )


@pytest.mark.parametrize("method", METHODS)
def test_constraints_hold(method, eager):
    model = deep(kernel_constraint=0.25)
    greedy_pretrain(model, X, method=method, epochs=1, seed=0)
    for name in ("hidden_1", "hidden_2"):
        assert np.linalg.norm(kernel(model, name), axis=0).max() <= 0.25 * (1 + 1e-5)


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("dtype", ["mixed_float16", "mixed_bfloat16", "float64"])
def test_precisions(method, dtype, eager):
    policy = keras.mixed_precision.dtype_policy()
    keras.mixed_precision.set_dtype_policy(dtype)
    try:
        model = deep()
    finally:
        keras.mixed_precision.set_dtype_policy(policy)
    history = greedy_pretrain(model, X, method=method, epochs=6, learning_rate=0.01, seed=0)
    for values in history.values():
        assert values["reconstruction_error"][-1] < values["reconstruction_error"][0]


@pytest.mark.parametrize("machine", [autoencoder(X), machine_of("bernoulli")])
def test_one_step_under_xla(machine):
    (_, arguments), *_ = machine.phases(1, 0.5)
    before = weights_of(machine)
    machine.compile(**arguments, jit_compile=True)
    machine.fit(X, X, batch_size=64, verbose=0)
    # The autoencoder's layer is linear: its bias learns as well.
    assert not any(equal(before, weights_of(machine)))


@pytest.mark.parametrize("method", METHODS)
def test_divergence_gives_the_weights_back(method, eager):
    model = deep()
    before = weights_of(model)
    with pytest.raises(ValueError, match=r"'hidden_1' diverged.*learning_rate=1e\+38"):
        greedy_pretrain(model, 3 * X - 1, method=method, learning_rate=1e38, seed=0)
    assert all(equal(before, model.get_weights()))


def test_untied_codes_of_another_width(eager):
    inputs = keras.Input((6,))
    x = keras.layers.Dense(4, "relu", name="pairs")(inputs)
    x = keras.layers.MaxPooling1D(2)(keras.layers.Reshape((4, 1))(x))
    model = keras.Model(inputs, keras.layers.Dense(2)(keras.layers.Flatten()(x)))
    with pytest.raises(
        ValueError, match=r"'pairs' of 4 units, .* shape \(2,\).*tied_weights=False"
    ):
        greedy_pretrain(model, X)
    assert list(greedy_pretrain(model, X, tied_weights=False, epochs=1)) == ["pairs"]


def skip():
    inputs = keras.Input((6,))
    x = keras.layers.Dense(6, name="one")(inputs)
    x = keras.layers.Add(name="sum")([inputs, x])
    return keras.Model(inputs, keras.layers.Dense(2)(x))


def shared():
    inputs, layer = keras.Input((6,)), keras.layers.Dense(6, name="twice")
    return keras.Model(inputs, keras.layers.Dense(2)(layer(layer(inputs))))


def operation():
    inputs = keras.Input((6,))
    x = keras.ops.relu(keras.layers.Dense(6)(inputs))
    return keras.Model(inputs, keras.layers.Dense(2)(x))


def convolutional(*, frozen):
    layers = [keras.layers.Conv1D(2, 2, name="conv"), keras.layers.Flatten()]
    layers += [keras.layers.Dense(3, "sigmoid", name="dense"), keras.layers.Dense(2)]
    model = keras.Sequential([keras.Input((3, 2)), *layers])
    model.get_layer("conv").trainable = not frozen
    return model


def test_frozen_convolutions_pass_the_data_on(eager):
    history = greedy_pretrain(convolutional(frozen=True), X.reshape(-1, 3, 2), epochs=1)
    assert list(history) == ["dense"]


def per_position():
    layers = [keras.layers.Dense(3), keras.layers.Flatten(), keras.layers.Dense(2)]
    return keras.Sequential([keras.Input((3, 2)), *layers])


class Own(keras.Model):
    def call(self, inputs):
        return inputs


def own():
    model = Own()
    model.build((None, 6))
    return model


def frozen():
    model = deep()
    model.trainable = False
    return model


@pytest.mark.parametrize(
    ("build", "x", "message"),
    [
        (lambda: 3, X, "Received: model=3"),
        (lambda: keras.Sequential([keras.layers.Dense(3)]), X, "must be built"),
        (own, X, "sequential or functional"),
        (skip, X, "not one at 'sum'"),
        (shared, X, "not one at 'twice'"),
        (operation, X, "operation 'relu"),
        (frozen, X, "none can learn"),
        (per_position, X.reshape(-1, 3, 2), r"inputs of shape \(3, 2\).*Flatten"),
        (lambda: convolutional(frozen=False), X.reshape(-1, 3, 2), "Conv1D 'conv'.*auxiliary"),
        (lambda: keras.Sequential([keras.Input((6,)), keras.layers.Dense(3)]), X, "hidden `Dense`"),
        (deep, X[0], r"shape \(6,\)"),
        (deep, X[:, :5], r"shape \(64, 5\)"),
        (deep, X[:0], r"shape \(0, 6\)"),
        (deep, X * np.nan, "NaN"),
        (deep, X.astype(str), "dtype <U"),
        (deep, tf.data.Dataset.from_tensor_slices(X), "From a data set"),
    ],
)
def test_bad_models_and_inputs(build, x, message):
    with pytest.raises(ValueError, match=message):
        greedy_pretrain(build(), x)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"method": "rmb"}, "Did you mean 'rbm'"),
        ({"layers": ["hiden_1"]}, "Did you mean 'hidden_1'"),
        ({"layers": "hidden_1_activation"}, "must name dense layers"),
        ({"layers": []}, r"Of the dense layers \[\]"),
        ({"epochs": 0}, "epochs=0"),
        ({"batch_size": 2.5}, r"batch_size=2\.5"),
        ({"learning_rate": 0}, "learning_rate=0"),
        ({"learning_rate": "0.1"}, "learning_rate='0.1'"),
        ({"noise": -0.1}, r"noise=-0\.1"),
        ({"noise": 1}, "noise=1"),
        ({"noise": math.nan}, "noise=nan"),
        ({"corruption": "mask"}, "Did you mean 'masking'"),
        ({"seed": 1.5}, r"seed=1\.5"),
        ({"gibbs_steps": 2}, r"option of method='rbm'.*gibbs_steps=2"),
        ({"method": "rbm", "noise": 0.5}, "option of method='autoencoder'.*noise=0.5"),
        ({"method": "rbm", "gibbs_steps": 0}, "gibbs_steps=0"),
        ({"method": "rbm", "weight_decay": -1}, "weight_decay=-1"),
        ({"method": "rbm", "visible": "binary"}, "visible='binary'"),
        ({"tied_weights": "yes"}, "tied_weights='yes'"),
        ({"verbose": -1}, "verbose=-1"),
    ],
)
def test_bad_arguments(arguments, message):
    model = deep()
    before = weights_of(model)
    with pytest.raises(ValueError, match=message):
        greedy_pretrain(model, X, **arguments)
    assert all(equal(before, model.get_weights()))


@pytest.mark.parametrize(
    ("activation", "arguments", "x", "message"),
    [
        ("relu", {}, X, "'hidden_1', followed by 'ReLU'"),
        (None, {}, X, "followed by 'linear'"),
        ("sigmoid", {"normalization": "batch"}, X, "'BatchNormalization'"),
        ("sigmoid", {"visible": "bernoulli"}, 2 * X, r"layer 'hidden_1' from .* to 2.*1/255"),
        ("sigmoid", {}, 255 * X, "root mean square of 163"),
        ("sigmoid", {"visible": "gaussian"}, 0.1 * X, "Standardize"),
    ],
)
def test_what_an_rbm_cannot_learn(activation, arguments, x, message):
    normalization = arguments.pop("normalization", None)
    model = deep(activation, normalization=normalization)
    with pytest.raises(ValueError, match=message):
        greedy_pretrain(model, x, method="rbm", **arguments)
