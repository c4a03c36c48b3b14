"""`NoImprovement`, driven by accuracies written by hand."""

import keras
import numpy as np
import pytest

from trainwell.callbacks.no_improvement import NoImprovement

X, Y = np.ones((4, 2), np.float32), np.zeros(4)


class Scripted(keras.callbacks.Callback):
    """Puts the next accuracy of a script into the logs, and the epoch into the weights."""

    def __init__(self, values):
        super().__init__()
        self.values = values

    def on_epoch_end(self, epoch, logs=None):
        logs["val_accuracy"] = self.values[min(epoch, len(self.values) - 1)]
        self.model.layers[-1].bias.assign([epoch, -1.0])


def network():
    model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(2, activation="softmax")])
    model.compile("sgd", "sparse_categorical_crossentropy", metrics=["accuracy"])
    return model


def fit(model, callback, values, epochs=1000, initial_epoch=0):
    """Epochs that ran, and the epoch that the weights are of."""
    callbacks = [Scripted(values), callback]
    fitted = model.fit(
        X, Y, epochs=epochs, initial_epoch=initial_epoch, verbose=0, callbacks=callbacks
    )
    return len(fitted.epoch), int(model.layers[-1].bias.numpy()[0])


def test_the_texts_defaults():
    # Best at epoch 2; ten more without improvement.
    assert fit(network(), NoImprovement(), [0.1, 0.2, 0.5, 0.5, 0.4]) == (13, 2)


def test_without_the_best_weights():
    callback = NoImprovement(2, restore_best_weights=False)
    assert fit(network(), callback, [0.1, 0.5, 0.4]) == (4, 3)


def test_the_best_weights_come_back_though_it_did_not_stop():
    assert fit(network(), NoImprovement(), [0.1, 0.5, 0.4], epochs=4) == (4, 1)


def test_relaxed_during_a_run():
    #         0    1    2    3    4    5    6    7
    script = [0.1, 0.2, 0.2, 0.3, 0.3, 0.3, 0.3, 0.3]
    # 2 up to epoch 3, 4 from epoch 4 on, 6 from epoch 7 on: best at 3, so the last is 9.
    assert fit(network(), NoImprovement(2, relaxed={7: 6, 4: 4}), script) == (10, 3)
    assert fit(network(), NoImprovement(2, relaxed={4: 4}), script) == (8, 3)
    assert fit(network(), NoImprovement(2), script) == (6, 3)


def test_relaxed_by_hand_during_a_run():
    class Relax(keras.callbacks.Callback):
        def on_epoch_begin(self, epoch, logs=None):
            if epoch == 2:
                stopper.epochs = 5

    stopper = NoImprovement(3)
    fitted = network().fit(
        X, Y, epochs=99, verbose=0, callbacks=[Relax(), Scripted([0.5]), stopper]
    )
    assert len(fitted.epoch) == 6
    with pytest.raises(ValueError, match="epochs=0"):
        stopper.epochs = 0


@pytest.mark.parametrize("parts", [[2, 5, 99], [1, 4, 5, 6, 7]])
def test_resumed_is_as_if_never_stopped(parts):
    script = [0.3, 0.5, 0.4, 0.4, 0.4, 0.4, 0.9]
    model, callback, ran = network(), NoImprovement(4), 0
    for start, end in zip([0, *parts], parts, strict=False):
        epochs, best = fit(model, callback, script, end, start)
        ran += epochs
        if model.stop_training:
            break
    assert (ran, best) == fit(network(), NoImprovement(4), script) == (6, 1)


def test_stopped_then_relaxed_and_resumed():
    script = [0.5, 0.4, 0.4, 0.4, 0.6, 0.6]
    model, callback = network(), NoImprovement(2)
    assert fit(model, callback, script) == (3, 0)
    callback.epochs = 5
    # Improves at 4, then waits 5.
    assert fit(model, callback, script, initial_epoch=3) == (7, 4)


def test_a_resumed_part_that_is_worse_brings_the_earlier_best_back():
    model, callback = network(), NoImprovement(10)
    assert fit(model, callback, [0.1, 0.9, 0.2], epochs=3) == (3, 1)
    assert fit(model, callback, [0.3], epochs=5, initial_epoch=3) == (2, 1)


def test_starts_anew_at_epoch_0_and_with_another_model():
    callback, model = NoImprovement(2), network()
    assert fit(model, callback, [0.9, 0.1]) == (3, 0)
    assert fit(model, callback, [0.1, 0.2, 0.1]) == (4, 1)
    assert fit(network(), callback, [0.1], initial_epoch=5) == (3, 5)


def test_a_fit_of_no_epochs_changes_nothing():
    callback = NoImprovement(2)
    fit(network(), callback, [0.9, 0.1])
    other = keras.Sequential([keras.Input((2,)), keras.layers.Dense(3)])
    other.compile("sgd", "mse")
    other.fit(X, np.zeros((4, 3)), epochs=2, initial_epoch=2, verbose=0, callbacks=[callback])


def test_real_validation():
    model = network()
    callback = NoImprovement(1)
    fitted = model.fit(X, Y, epochs=50, validation_data=(X, Y), verbose=0, callbacks=[callback])
    values = fitted.history["val_accuracy"]
    assert len(values) == values.index(max(values)) + 2
    assert model.evaluate(X, Y, verbose=0)[1] == max(values)


def test_a_missing_metric_is_an_error_that_names_what_there_is():
    with pytest.raises(ValueError, match=r"NoImprovement .* 'accuracy', 'loss'\. Pass `valid"):
        network().fit(X, Y, epochs=9, verbose=0, callbacks=[NoImprovement()])


@pytest.mark.filterwarnings("error")
def test_validation_every_other_epoch():
    model = network()
    fitted = model.fit(
        X,
        Y,
        epochs=50,
        validation_data=(X, Y),
        validation_freq=2,
        verbose=0,
        callbacks=[NoImprovement(2, validation_freq=2)],
    )
    assert len(fitted.epoch) % 2 == 0
    assert len(fitted.epoch) < 50


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"epochs": 0}, r"`epochs` must be a whole number .*epochs=0"),
        ({"epochs": "10"}, r"epochs='10'"),
        ({"relaxed": (20, 30)}, r"such as \{50: 20, 100: 30\}\. Received: relaxed=\(20, 30\)"),
        ({"relaxed": {5: 10}}, r"must grow .* epochs=10, relaxed=\{5: 10\}"),
        ({"relaxed": {5: 30, 9: 20}}, r"must grow"),
        ({"relaxed": {0: 30}}, r"relaxed's epoch=0"),
        ({"relaxed": {5: 30.5}}, r"relaxed's number=30\.5"),
        ({"monitor": 3}, r"monitor=3"),
        ({"mode": "higher"}, r"mode='higher'"),
        ({"min_delta": "0"}, r"min_delta='0'"),
        ({"validation_freq": [2, 4]}, r"validation_freq=\[2, 4\]"),
    ],
)
def test_bad_arguments(arguments, message):
    with pytest.raises(ValueError, match=message):
        NoImprovement(**arguments)
