"""What trainwell needs of each private name of Keras that it touches: see `_keras_private.py`.

A failure here says that Keras changed, what it changed and what of trainwell hangs on it.
"""

import inspect

import keras
import numpy as np
import pytest
import tensorflow as tf

from trainwell.callbacks import _keras_private as private

NEEDED_FOR = {
    private.CLIP: "GradientNorms with gradient accumulation, or with replicas and clipping "
    "(Tap._clip in callbacks/_optimizer_tap.py)",
    private.ALL_REDUCE: "GradientNorms under tf.distribute (Tap._all_reduce in "
    "callbacks/_optimizer_tap.py)",
    private.END_OF_UPDATE: "`update_norm` with gradient accumulation (Tap._end_of_update in "
    "callbacks/_optimizer_tap.py)",
    private.EPOCH_LOGS: "epoch logs for callbacks listed before ours (Monitor._logs_of_model in "
    "callbacks/_monitor.py)",
    "_trainable_variables": "`apply` without variables, and whether to trace anew (Tap._begin, "
    "retrace_would_change)",
    "_exclude_from_weight_decay": "`replicate` refuses what one stacked tensor can't exclude",
}
X = np.array([[1.0, 2.0], [3.0, 4.0]], np.float32)


def changed(name, what):
    return f"Keras {keras.__version__}: `{name}` {what}. On it depends: {NEEDED_FOR[name]}."


def sgd(**options):
    """An optimizer, and the variable it trains, with weights 0."""
    variable = keras.Variable(np.zeros(2, np.float32), name="kernel")
    optimizer = keras.optimizers.SGD(1.0, **options)
    optimizer.build([variable])
    return optimizer, variable


def network():
    model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)])
    model.compile("sgd", "mse")
    return model


def traced(monkeypatch, owner, *names):
    """A growing list of `(name, arguments)` of the calls of an object's methods."""
    calls = []

    def wrapped(name, original):
        def method(*arguments):
            calls.append((name, arguments))
            return original(*arguments)

        return method

    for name in names:
        assert callable(getattr(owner, name, None)), changed(name, "is gone")
        monkeypatch.setattr(owner, name, wrapped(name, getattr(owner, name)))
    return calls


@pytest.mark.parametrize(
    ("name", "parameters"),
    [
        (private.CLIP, 1),
        (private.ALL_REDUCE, 1),
        (private.END_OF_UPDATE, 0),
        (private.EPOCH_LOGS, 1),
    ],
)
def test_it_exists_and_takes_as_many_arguments(name, parameters):
    owner = network() if name == private.EPOCH_LOGS else sgd()[0]
    assert callable(getattr(owner, name, None)), changed(name, "is gone")
    found = inspect.signature(getattr(owner, name))
    assert len(found.parameters) == parameters, changed(name, f"takes now {found}")


def test_every_private_name_has_a_test_here():
    names = {value for key, value in vars(private).items() if key.isupper()}
    inside = {"_trainable_variables", "_exclude_from_weight_decay"}
    assert names | inside == set(NEEDED_FOR)


# ---------------------------------------------------------------------- of an optimizer


def test_clip_is_called_once_an_update_with_raw_gradients(monkeypatch):
    optimizer, variable = sgd(clipnorm=1.0)
    calls = traced(monkeypatch, optimizer, private.CLIP)
    for _ in range(2):
        optimizer.apply([tf.constant([3.0, 4.0])], [variable])
    assert len(calls) == 2, changed(private.CLIP, f"was called {len(calls)} times in 2 updates")
    [gradient] = calls[0][1][0]
    assert gradient.numpy().tolist() == [3.0, 4.0], changed(
        private.CLIP, "is not given raw gradients"
    )
    np.testing.assert_allclose(variable.numpy(), [-1.2, -1.6])  # its result is what is applied


def test_clip_is_called_without_clipping_too(monkeypatch):
    optimizer, variable = sgd()
    calls = traced(monkeypatch, optimizer, private.CLIP)
    optimizer.apply([tf.constant([3.0, 4.0])], [variable])
    assert len(calls) == 1, changed(private.CLIP, "is not called where nothing is clipped")


def accumulate(optimizer, variable):
    """One update of two micro-batches; eagerly, so that only the branch that is taken runs."""
    for gradient in ([1.0, 2.0], [5.0, 6.0]):
        optimizer.apply([tf.constant(gradient)], [variable])


def test_clip_sees_the_average_of_accumulated_gradients(monkeypatch):
    optimizer, variable = sgd(gradient_accumulation_steps=2, clipvalue=10.0)
    calls = traced(monkeypatch, optimizer, private.CLIP)
    accumulate(optimizer, variable)
    assert len(calls) == 1, changed(private.CLIP, f"was called {len(calls)} times in one update")
    [gradient] = calls[0][1][0]
    assert gradient.numpy().tolist() == [3.0, 4.0], changed(
        private.CLIP, "is not given the average of the accumulated gradients"
    )


def test_the_end_of_update_comes_last_and_only_with_accumulation(monkeypatch):
    optimizer, variable = sgd(gradient_accumulation_steps=2)
    names = (private.CLIP, private.ALL_REDUCE, "update_step", private.END_OF_UPDATE)
    calls = traced(monkeypatch, optimizer, *names)
    accumulate(optimizer, variable)
    order = tuple(name for name, _ in calls)
    assert order == names, changed(private.END_OF_UPDATE, f"is not last: {order}")
    assert variable.numpy().tolist() == [-3.0, -4.0]
    plain, variable = sgd()
    calls = traced(monkeypatch, plain, private.END_OF_UPDATE)
    plain.apply([tf.constant([1.0, 1.0])], [variable])
    assert not calls, changed(private.END_OF_UPDATE, "is called without accumulation too")


def test_all_reduce_turns_pairs_into_pairs_of_sums_which_are_applied(
    mirrored_strategy, monkeypatch
):
    with mirrored_strategy.scope():
        optimizer, variable = sgd()
    local, summed = [], []
    original = getattr(optimizer, private.ALL_REDUCE)

    def all_reduce(pairs):
        pairs = list(pairs)
        result = original(pairs)
        for which, found in ((local, pairs), (summed, result)):
            which.append([tuple(gradient.numpy()) for gradient, _ in found])
        return result

    monkeypatch.setattr(optimizer, private.ALL_REDUCE, all_reduce)

    def replica_step():
        number = tf.distribute.get_replica_context().replica_id_in_sync_group
        gradient = tf.constant([1.0, 2.0]) * (tf.cast(number, tf.float32) + 1.0)
        optimizer.apply([gradient], [variable])

    mirrored_strategy.run(replica_step)
    assert sorted(local) == [[(1.0, 2.0)], [(2.0, 4.0)]], changed(
        private.ALL_REDUCE, f"is not given each replica's own gradients, but {local}"
    )
    assert summed == [[(3.0, 6.0)]] * 2, changed(private.ALL_REDUCE, f"gives no sums, but {summed}")
    np.testing.assert_allclose(variable.numpy(), [-3.0, -6.0])


def test_replicas_clip_before_the_sum(mirrored_strategy, monkeypatch):
    with mirrored_strategy.scope():
        optimizer, variable = sgd(clipnorm=1.0)
    calls = traced(monkeypatch, optimizer, private.CLIP, private.ALL_REDUCE)
    mirrored_strategy.run(lambda: optimizer.apply([tf.constant([3.0, 4.0])], [variable]))
    order = [name for name, _ in calls]
    assert order.count(private.CLIP) == order.count(private.ALL_REDUCE) == 2
    assert order[0] == private.CLIP, changed(private.CLIP, "is not called before the replicas' sum")


def test_a_built_optimizer_knows_its_variables():
    optimizer, variable = sgd()
    message = changed("_trainable_variables", "does not hold what the optimizer was built with")
    assert hasattr(optimizer, "_trainable_variables"), message
    assert [id(one) for one in private.known_variables(optimizer)] == [id(variable)], message


def test_an_optimizer_knows_what_it_excludes_from_weight_decay():
    message = changed("_exclude_from_weight_decay", "is not where exclusions are kept")
    assert not private.excludes_from_weight_decay(keras.optimizers.AdamW())
    for options in ({"var_names": ["bias"]}, {"var_list": [keras.Variable([1.0])]}):
        optimizer = keras.optimizers.AdamW()
        optimizer.exclude_from_weight_decay(**options)
        assert private.excludes_from_weight_decay(optimizer), message


# ---------------------------------------------------------------------- of a model


class Notes(keras.callbacks.Callback):
    def __init__(self, calls):
        super().__init__()
        self.calls = calls

    def on_test_begin(self, logs=None):
        self.calls.append(("on_test_begin", None))

    def on_test_end(self, logs=None):
        self.calls.append(("on_test_end", None))

    def on_epoch_end(self, epoch, logs=None):
        self.calls.append(("on_epoch_end", dict(logs)))


def test_fit_asks_for_epoch_logs_before_callbacks_see_them(monkeypatch):
    model, calls = network(), []
    original = getattr(model, private.EPOCH_LOGS)

    def logs_of_model(logs):
        calls.append(("logs", dict(logs)))
        return dict(original(logs)) | {"ours": 1.0}

    monkeypatch.setattr(model, private.EPOCH_LOGS, logs_of_model)
    options = {"validation_data": (X, X[:, :1]), "verbose": 0, "callbacks": [Notes(calls)]}
    history = model.fit(X, X[:, :1], epochs=2, **options).history
    order = [name for name, _ in calls]
    expected = ["logs", "on_test_begin", "logs", "on_test_end", "on_epoch_end"] * 2
    assert order == expected, changed(private.EPOCH_LOGS, f"is called at another place: {order}")
    assert "loss" in calls[0][1], changed(private.EPOCH_LOGS, f"is given {calls[0][1]}")
    seen = calls[4][1]
    assert seen.get("ours") == 1.0, changed(private.EPOCH_LOGS, "is not what callbacks are given")
    assert history["ours"] == [1.0, 1.0]


def test_evaluate_asks_for_its_logs_too(monkeypatch):
    model = network()
    calls = traced(monkeypatch, model, private.EPOCH_LOGS)
    model.evaluate(X, X[:, :1], verbose=0)
    assert len(calls) == 1, changed(
        private.EPOCH_LOGS, f"was called {len(calls)} times by evaluate"
    )
