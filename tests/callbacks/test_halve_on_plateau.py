"""`HalveOnPlateau`, driven by accuracies written by hand."""

import copy
import math

import keras
import numpy as np
import pytest

from trainwell.callbacks.halve_on_plateau import HalveOnPlateau

X, Y = np.ones((4, 2), np.float32), np.zeros(4)


class Scripted(keras.callbacks.Callback):
    """Puts the next accuracy of a script into the logs."""

    def __init__(self, values, name="val_accuracy"):
        super().__init__()
        self.values, self.name = values, name

    def on_epoch_end(self, epoch, logs=None):
        logs[self.name] = self.values[min(epoch, len(self.values) - 1)]


def network(rate=0.8, **options):
    model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(2, activation="softmax")])
    optimizer = keras.optimizers.SGD(rate)
    model.compile(optimizer, "sparse_categorical_crossentropy", metrics=["accuracy"], **options)
    return model


def fit(model, callback, values, epochs=1000, initial_epoch=0, **options):
    callbacks = [Scripted(values), callback]
    fitted = model.fit(
        X, Y, epochs=epochs, initial_epoch=initial_epoch, verbose=0, callbacks=callbacks, **options
    )
    return fitted.history["learning_rate"]


def test_halves_and_stops_at_the_floor():
    model = network(0.8)
    # Improves at 0, 1 and 4: halved after 3, 6 and 8.
    rates = fit(model, HalveOnPlateau(2, floor=1 / 8), [0.1, 0.2, 0.2, 0.1, 0.3, 0.3, 0.3])
    expected = [0.8] * 4 + [0.4] * 3 + [0.2] * 2
    np.testing.assert_allclose(rates, expected, rtol=1e-6)
    # No epoch at the floor itself.
    assert float(model.optimizer.learning_rate) == pytest.approx(0.1)
    assert model.stop_training


def test_the_texts_defaults():
    model = network(0.1)
    rates = fit(model, HalveOnPlateau(), [0.5])
    # The first epoch improves; then seven times ten.
    assert len(rates) == 1 + 7 * 10
    assert float(model.optimizer.learning_rate) == pytest.approx(0.1 / 128)


@pytest.mark.parametrize("parts", [[3, 4, 9], [1, 2, 5, 6, 7, 9]])
def test_resumed_is_as_if_never_stopped(parts):
    script = [0.3, 0.5, 0.4, 0.4, 0.5, 0.6, 0.5, 0.5, 0.5]
    straight = fit(network(), HalveOnPlateau(2), script, epochs=9)
    model, callback, rates = network(), HalveOnPlateau(2), []
    for start, end in zip([0, *parts], parts, strict=False):
        rates += fit(model, callback, script, end, start)
    assert rates == straight
    assert rates[-1] == pytest.approx(0.2)


def test_resumed_in_parts_stops_at_the_first_rates_floor():
    model, callback = network(0.8), HalveOnPlateau(1, floor=1 / 4)
    assert len(fit(model, callback, [0.5], epochs=2)) == 2
    assert len(fit(model, callback, [0.5], epochs=50, initial_epoch=2)) == 1
    assert float(model.optimizer.learning_rate) == pytest.approx(0.2)


def test_a_new_process_is_told_the_first_rate(tmp_path):
    model = network(0.8)
    fit(model, HalveOnPlateau(1), [0.5], epochs=2)
    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    callback = HalveOnPlateau(1, floor=1 / 4, initial_learning_rate=0.8)
    rates = fit(loaded, callback, [0.5], initial_epoch=2)
    np.testing.assert_allclose(rates, [0.4, 0.4], rtol=1e-6)


def test_starts_anew_at_epoch_0_and_with_another_model():
    callback = HalveOnPlateau(1, floor=1 / 4)
    for start, rate in ((0, 0.8), (0, 0.4), (5, 0.2)):
        model = network(rate)
        rates = fit(model, callback, [0.5], initial_epoch=start)
        np.testing.assert_allclose(rates, [rate, rate, rate / 2], rtol=1e-6)


def test_a_loss_is_minimized():
    losses = [Scripted([3.0, 2.0, 2.5, 1.0], "val_loss"), HalveOnPlateau(1, monitor="val_loss")]
    fitted = network().fit(X, Y, epochs=5, verbose=0, callbacks=losses)
    np.testing.assert_allclose(fitted.history["learning_rate"], [0.8, 0.8, 0.8, 0.4, 0.4])


def test_validation_every_other_epoch():
    class EveryOther(Scripted):
        def on_epoch_end(self, epoch, logs=None):
            if epoch % 2:
                super().on_epoch_end(epoch, logs)

    callbacks = [EveryOther([0.5]), HalveOnPlateau(1, validation_freq=2)]
    fitted = network().fit(X, Y, epochs=6, verbose=0, callbacks=callbacks)
    expected = [0.8, 0.8, 0.8, 0.8, 0.4, 0.4]
    np.testing.assert_allclose(fitted.history["learning_rate"], expected, rtol=1e-6)


def test_with_loss_scaling_and_a_copy_as_keras_tuner_makes():
    model = network()
    model.compile(
        keras.optimizers.LossScaleOptimizer(keras.optimizers.SGD(0.8)),
        "sparse_categorical_crossentropy",
        metrics=["accuracy"],
    )
    used = HalveOnPlateau(1, floor=1 / 2)
    fit(model, used, [0.5])
    model.optimizer.learning_rate = 0.8
    assert len(fit(model, copy.deepcopy(used), [0.5])) == 2


def test_a_missing_metric_is_an_error_that_names_what_there_is():
    with pytest.raises(ValueError, match=r"HalveOnPlateau .* monitor='val_accuracy', where") as e:
        network().fit(X, Y, epochs=9, verbose=0, callbacks=[HalveOnPlateau()])
    assert "reports 'accuracy', 'loss', 'learning_rate'. Pass `validation_data`" in str(e.value)
    with pytest.raises(ValueError, match=r"'val_acuracy', .* Did you mean 'val_accuracy'\?"):
        fit(network(), HalveOnPlateau(monitor="val_acuracy"), [0.5])
    with pytest.raises(ValueError, match=r"Pass `metrics=\['f1'\]` to `compile`"):
        fit(network(), HalveOnPlateau(monitor="f1"), [0.5])


def test_a_schedule_in_place_of_a_rate():
    model = network(keras.optimizers.schedules.CosineDecay(0.1, 10))
    with pytest.raises(ValueError, match=r"HalveOnPlateau sets .* its own.*Compile with a number"):
        fit(model, HalveOnPlateau(), [0.5])


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"patience": 0}, r"`patience` must be a whole number .*patience=0"),
        ({"patience": 1.5}, r"patience=1\.5"),
        ({"floor": 0}, r"in \(0, 1\)\. Received: floor=0\. The text's is 1/128"),
        ({"floor": 1}, r"floor=1"),
        ({"floor": math.nan}, r"floor=nan"),
        ({"floor": None}, r"floor=None"),
        ({"monitor": None}, r"`monitor` must be the name .*monitor=None"),
        ({"mode": "up"}, r"'auto', 'min', 'max'\. Received: mode='up'"),
        ({"min_delta": -1}, r"`min_delta` must be at least 0\. Received: min_delta=-1"),
        ({"validation_freq": 0}, r"`validation_freq` .*validation_freq=0"),
        ({"initial_learning_rate": 0}, r"above 0\. Received: initial_learning_rate=0"),
    ],
)
def test_bad_arguments(arguments, message):
    with pytest.raises(ValueError, match=message):
        HalveOnPlateau(**arguments)
