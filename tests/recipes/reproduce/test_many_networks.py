"""Networks of several activations, rates and seeds in one step, each as it would be alone."""

import keras
import numpy as np
import pytest

from trainwell.recipes.activations import activation_layer
from trainwell.recipes.reproduce._many_networks import Kind, ManyNetworks

KINDS = (
    Kind("ReLU", "relu"),
    Kind("leaky", "leaky_relu", {"negative_slope": 0.2}),
    Kind("PReLU", "prelu"),
    Kind("SELU", "selu"),
)
RATES, SEEDS, WIDTHS = (0.05, 0.2), (3, 7), (4, 5, 5, 10)


def data(samples=24):
    rng = np.random.default_rng(0)
    return rng.normal(size=(samples, 4)).astype("float32"), rng.integers(0, 10, samples)


def made():
    return ManyNetworks(KINDS, RATES, SEEDS, WIDTHS)


def twin(networks, number, kind, rate):
    """One of the networks in Keras, with its weights of now."""
    x = inputs = keras.Input((WIDTHS[0],))
    for width in WIDTHS[1:-1]:
        x = activation_layer(kind.activation, **kind.options)(keras.layers.Dense(width)(x))
    model = keras.Model(inputs, keras.layers.Dense(WIDTHS[-1])(x))
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(keras.optimizers.SGD(rate), loss, metrics=["accuracy"])
    dense = [layer for layer in model.layers if isinstance(layer, keras.layers.Dense)]
    for layer, kernel, bias in zip(dense, networks._kernels, networks._biases, strict=True):
        layer.set_weights([kernel[number].numpy(), bias[number, 0].numpy()])
    return model


@pytest.mark.parametrize("at", range(len(KINDS)))
def test_each_is_trained_as_it_would_be_alone(at):
    x, y = data()
    networks = ManyNetworks(KINDS[at : at + 1], RATES, SEEDS, WIDTHS)
    rates = np.repeat(RATES, len(SEEDS))
    alone = [twin(networks, number, KINDS[at], rate) for number, rate in enumerate(rates)]
    networks.fit(x, y, epochs=3, batch_size=8)
    found = networks.accuracy(x, y).ravel()
    for number, model in enumerate(alone):
        generator = np.random.default_rng(SEEDS[number % 2])
        for _ in range(3):
            for order in generator.permutation(len(x)).reshape(3, 8):
                model.train_on_batch(x[order], y[order])
        dense = [layer for layer in model.layers if isinstance(layer, keras.layers.Dense)]
        for layer, kernel in zip(dense, networks._kernels, strict=True):
            np.testing.assert_allclose(layer.kernel, kernel[number], rtol=2e-4, atol=2e-6)
        assert found[number] == pytest.approx(100 * model.evaluate(x, y, verbose=0)[1], abs=1e-4)


def test_equal_seeds_start_from_equal_weights_at_every_rate():
    first = made()._kernels[0].numpy().reshape(len(KINDS), 2, 2, 4, 5)
    np.testing.assert_array_equal(first[:, 0], first[:, 1])
    assert (first[:, :, 0] != first[:, :, 1]).any()
    # He's and LeCun's variance differ by 2; the draws are the same.
    np.testing.assert_allclose(first[0], first[3] * np.sqrt(2), rtol=1e-5)


def test_units_negative_everywhere():
    networks = made()
    x, _ = data()
    kernel, bias = networks._kernels[0].numpy(), networks._biases[0].numpy()
    expected = ((x @ kernel + bias) <= 0).all(axis=1).reshape(4, 2, 2, 5)
    found = networks.negative_everywhere(x)
    assert found.shape == (4, 2, 2, 2, 5)
    np.testing.assert_array_equal(found[..., 0, :], expected)


def test_units_put_to_sleep_are_just_below_zero():
    networks, (x, _) = made(), data()
    networks.put_to_sleep(x, 3, margin=0.25)
    z = x @ networks._kernels[0].numpy() + networks._biases[0].numpy()
    np.testing.assert_allclose(z[:, :, :3].max(axis=1), -0.25, atol=1e-5)
    assert networks.negative_everywhere(x)[..., 0, :3].all()
    assert not networks._biases[0].numpy()[:, :, 3:].any()


def test_a_relu_asleep_in_the_first_layer_never_moves_and_a_leaky_one_does():
    networks, (x, y) = made(), data()
    networks.put_to_sleep(x, 3, margin=0.01)
    before = networks._kernels[0].numpy().reshape(4, -1, 4, 5)[..., :3].copy()
    networks.fit(x, y, epochs=2, batch_size=8)
    moved = networks._kernels[0].numpy().reshape(4, -1, 4, 5)[..., :3] != before
    assert not moved[0].any()
    assert all(one.any() for one in moved[1:])


def test_what_diverges_is_told_and_counts_as_wrong():
    x, y = data()
    networks = ManyNetworks(KINDS[:2], (0.01, 1e30), (0,), WIDTHS)
    networks.fit(x, y, epochs=4, batch_size=8)
    assert networks.finite()[:, 0].all() and not networks.finite()[:, 1].any()
    assert not networks.accuracy(x, y)[:, 1].any()
