"""`repair`: what it tries, in which order, and what it gives back."""

import keras
import numpy as np
import pytest

from trainwell.callbacks import Finding, Remedy
from trainwell.recipes._repair_choices import Choices, added, of_the_ends
from trainwell.recipes._repair_runs import Run, _Judge
from trainwell.recipes._task_score import TaskScore
from trainwell.recipes.repair import repair


def blobs(samples=240, seed=0):
    """Three classes around three corners, which a line tells apart."""
    rng = np.random.default_rng(seed)
    y = rng.integers(0, 3, samples)
    corners = np.array([[0.0, 0.0], [6.0, 0.0], [0.0, 6.0]])
    return (corners[y] + rng.normal(0, 0.6, (samples, 2))).astype("float32"), y.astype("int32")


def network(output="softmax", activation="relu", layers=1, optimizer=None, units=3):
    keras.utils.set_random_seed(3)
    model = keras.Sequential([keras.Input((2,))])
    for _ in range(layers):
        model.add(keras.layers.Dense(16, activation))
    model.add(keras.layers.Dense(units, output))
    optimizer = optimizer or keras.optimizers.Adam(0.02)
    model.compile(optimizer, "sparse_categorical_crossentropy", metrics=["accuracy"])
    return model


def mended(model, x=None, epochs=20, **options):
    inputs, y = blobs()
    validation, truth = blobs(120, 1)
    scale = 1 if x is None else x
    return repair(
        model, inputs * scale, y, validation_data=(validation * scale, truth), epochs=epochs,
        verbose=0, **options,
    )  # fmt: skip


def remedy(kind, value=None):
    return Remedy(kind=kind, value=value, reason="A reason.", source="A source")


def finding(symptom, *remedies, severity="error", cause=None):
    return Finding(
        symptom=symptom, layers=(), severity=severity, first_step=0, evidence="It is so.",
        remedies=remedies, cause=cause,
    )  # fmt: skip


# ---------------------------------------------------------------- whole repairs


def test_a_sound_model_is_trained_and_changed_in_nothing():
    result = mended(network())
    assert result.healthy
    assert len(result.attempts) == 1
    assert result.changes == () == result.attempts[0].changes
    assert result.metric == "accuracy"
    assert result.score > 0.95 > result.score_before


def test_a_relu_output_becomes_a_softmax_and_learns():
    model = network(output="relu", optimizer=keras.optimizers.SGD(0.05))
    result = mended(model)
    assert result.score > 0.95
    assert result.healthy
    assert ("output_activation", "relu", "softmax") in [
        (change.kind, change.before, change.after) for change in result.changes
    ]
    assert keras.activations.serialize(result.model.layers[-1].activation) == "softmax"
    assert all(change.reason and change.source for change in result.changes)


def test_the_mended_model_takes_the_same_inputs():
    """At inputs of thousands the first step throws the network far away."""
    result = mended(network(optimizer=keras.optimizers.SGD(0.05)), x=10_000.0)
    validation, truth = blobs(120, 1)
    assert "input_scaling" in {change.kind for change in result.changes}
    answers = result.model.predict(validation * 10_000.0, verbose=0).argmax(axis=-1)
    assert (answers == truth).mean() == pytest.approx(result.score)
    assert result.score > 0.95


def test_targets_in_thousands_are_scaled_inside():
    rng = np.random.default_rng(0)
    x = rng.normal(size=(300, 4)).astype("float32")
    y = (5_000 + 2_000 * np.tanh(x[:, :1] - x[:, 1:2])).astype("float32")
    keras.utils.set_random_seed(0)
    model = keras.Sequential(
        [keras.Input((4,)), keras.layers.Dense(16, "tanh"), keras.layers.Dense(1)]
    )
    model.compile(keras.optimizers.SGD(0.05), "mse")
    result = repair(
        model, x[:200], y[:200], validation_data=(x[200:], y[200:]), epochs=30, verbose=0
    )
    assert result.metric == "R²"
    outputs = result.model.predict(x[200:], verbose=0)
    spread = ((y[200:] - y[200:].mean()) ** 2).sum()
    assert 1 - ((y[200:] - outputs) ** 2).sum() / spread == pytest.approx(result.score, abs=1e-4)
    assert result.score > 0.8
    assert "target_scaling" in {change.kind for change in result.changes}


def test_the_given_model_stays_as_it_is():
    model = network(output="relu")
    before = [w.numpy().copy() for w in model.weights]
    mended(model, epochs=5)
    assert all((a == b.numpy()).all() for a, b in zip(before, model.weights, strict=True))
    assert keras.activations.serialize(model.layers[-1].activation) == "relu"
    assert int(model.optimizer.iterations.numpy()) == 0


def test_a_trained_model_never_comes_back_worse():
    """At a rate of 1e3 every further training ruins it."""
    model = network()
    model.fit(*blobs(), epochs=30, verbose=0)
    model.compile(
        keras.optimizers.SGD(1e3), "sparse_categorical_crossentropy", metrics=["accuracy"]
    )
    given = TaskScore(*blobs(120, 1), loss=model.loss).of(model)
    result = mended(model, epochs=2, attempts=1)
    assert result.score_before == given
    assert result.score >= given
    again = TaskScore(*blobs(120, 1), loss=model.loss).of(result.model)
    assert again == pytest.approx(result.score)


def test_it_tells_its_story(capsys):
    inputs, y = blobs()
    result = repair(
        network(output="relu"), inputs, y, validation_data=blobs(120, 1), epochs=20, attempts=2
    )
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == len(result.attempts)
    assert lines[0].startswith("attempt 0 of 2: as given: accuracy ")
    assert "output activation softmax" in lines[1]
    assert result.attempts[1].outcome in str(result)
    assert str(result.changes[0]) in str(result)
    assert [attempt.number for attempt in result.attempts] == list(range(len(result.attempts)))


def test_attempts_are_counted_without_the_given_model():
    stuck = network(optimizer=keras.optimizers.SGD(1e-12))
    assert len(mended(stuck, epochs=2, attempts=1).attempts) == 2


# ---------------------------------------------------------------- bad input


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"epochs": 0}, "epochs=0"),
        ({"attempts": 0}, "attempts=0"),
        ({"batch_size": -1}, "batch_size=-1"),
        ({"validation_data": None}, "`validation_data` must be a pair"),
        ({"validation_data": (np.zeros((3, 2)), np.zeros(4))}, r"lengths \[3, 4\]"),
        ({"validation_data": (np.zeros((0, 2)), np.zeros(0))}, r"lengths \[0\]"),
    ],
)
def test_bad_arguments_are_refused_before_any_training(options, said):
    arguments = {"validation_data": blobs(10), "epochs": 2} | options
    model = network()
    with pytest.raises(ValueError, match=said):
        repair(model, *blobs(), **arguments)
    assert int(model.optimizer.iterations.numpy()) == 0


def test_a_model_that_is_not_compiled_is_refused():
    model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(3, "softmax")])
    with pytest.raises(ValueError, match="compile"):
        repair(model, *blobs(), validation_data=blobs(10), epochs=1)


def test_data_that_do_not_fit_raise_what_keras_raises():
    x, y = blobs()
    with pytest.raises(ValueError, match="shape"):
        repair(network(), x[:, :1], y, validation_data=(x[:, :1], y), epochs=1, verbose=0)


# ---------------------------------------------------------------- what comes next


def test_remedies_of_roots_come_first_then_the_next_of_each():
    findings = [
        finding("unscaled_input", remedy("input_scaling", "standardize"), remedy("optimizer", "a")),
        finding("dying_relu", remedy("activation", "elu"), cause="unscaled_input"),
        finding("overfitting", remedy("dropout", 0.2), severity="info"),
    ]
    choices = Choices()
    kinds = [[one.kind for _, one in choices.of_findings(findings)] for _ in range(4)]
    assert kinds == [["input_scaling"], ["optimizer"], ["activation"], []]


def test_output_and_loss_are_taken_together():
    pair = finding("improper_loss", remedy("output_activation", "sigmoid"), remedy("loss", "bce"))
    assert [one.kind for _, one in Choices().of_findings([pair])] == ["output_activation", "loss"]


def test_the_textbook_comes_twice_the_second_time_with_a_found_rate():
    choices = Choices()
    first, second = choices.of_textbook(), choices.of_textbook()
    assert [one.kind for _, one in second] == [one.kind for _, one in first] + ["learning_rate"]
    assert second[-1][1].value is None
    assert choices.of_textbook() == []


def test_newer_choices_replace_older_ones_of_their_kind():
    slow, fast = finding("slow_convergence"), finding("learning_rate_too_low")
    older = [(slow, remedy("learning_rate", 0.1)), (slow, remedy("activation", "relu"))]
    newer = [(fast, remedy("optimizer", "adam")), (fast, remedy("activation", "elu"))]
    assert added(older, newer) == [older[1], *newer]
    assert of_the_ends([*older, (slow, remedy("loss", "mse"))]) == [(slow, remedy("loss", "mse"))]


# ---------------------------------------------------------------- when a run is decided


class Doctor:
    findings = ()


class Scores:
    """A score that answers from a list; chance 0."""

    def __init__(self, *scores):
        self._scores = iter(scores)

    def of(self, model):
        return next(self._scores)

    def skill(self, score):
        return score

    def noise(self, score):
        return 0.01


def ended(scores, epochs, leader=None, findings=(), losses=None):
    """After which epoch a run is ended, and why."""
    doctor = Doctor()
    doctor.findings = list(findings)
    judge = _Judge(Scores(*scores), epochs, doctor, leader)
    judge.set_model(keras.Sequential([keras.Input((1,)), keras.layers.Dense(1)]))
    for epoch in range(epochs):
        judge.on_epoch_end(epoch, {"loss": losses[epoch]} if losses else {})
        if judge.ended:
            return epoch + 1, judge.ended
    return epochs, ""


def test_a_perfect_score_ends_a_run():
    assert ended([0.2, 1.0, 1.0, 1.0], 4) == (2, "nothing is left to gain")


def test_a_good_run_without_a_better_score_ends():
    assert ended([0.7] + [0.6] * 19, 20) == (6, "nothing better in 5 epochs")


def test_a_good_run_whose_loss_still_falls_goes_on():
    """Four held-out samples know five scores; the loss falls by a tenth in each epoch."""
    losses = [0.9**epoch for epoch in range(20)]
    assert ended([0.75] * 20, 20, losses=losses) == (20, "")
    assert ended([0.75] * 20, 20, losses=[*losses[:4], *[0.7] * 16]) == (
        9,
        "nothing better in 5 epochs",
    )


def test_a_poor_run_without_a_better_score_goes_on():
    assert ended([0.4] + [0.3] * 19, 20) == (20, "")


def test_an_error_decides_a_poor_run_after_a_quarter():
    error = finding("vanishing_gradient")
    assert ended([0.1] * 8, 8, findings=[error]) == (2, "vanishing_gradient decides it")
    warning = finding("vanishing_gradient", severity="warning")
    assert ended([0.1] * 8, 8, findings=[warning]) == (8, "")


def leading(score):
    return Run(model=None, findings=[], score=score, epochs=8, seconds=1.0, curve=[(1.0, score)])


def test_a_run_behind_the_leader_that_does_not_catch_up_ends_at_half():
    """At half: 0.40, a quarter before 0.35; at that pace it reaches 0.50, the leader had 0.60."""
    scores = [0.30, 0.35, 0.38, 0.40, 0.42, 0.44, 0.46, 0.48]
    assert ended(scores, 8, leading(0.60)) == (4, "behind the best attempt, and not catching up")
    assert ended(scores, 8, leading(0.49))[0] == 8


def test_the_best_weights_come_back():
    """All weights are 0 after the last epoch: then every answer is the first class."""
    x, y = blobs()
    score = TaskScore(*blobs(120, 1), loss="sparse_categorical_crossentropy")

    class Ruin(keras.callbacks.Callback):
        def on_epoch_end(self, epoch, logs=None):
            if epoch == 2:
                self.model.set_weights([0 * w for w in self.model.get_weights()])

    model = network()
    judge = _Judge(score, 3, Doctor(), None)
    model.fit(x, y, epochs=3, verbose=0, callbacks=[Ruin(), judge])
    ruined = score.of(model)
    judge.put_best()
    assert score.of(model) == judge.best > ruined


# ---------------------------------------------------------------- what is gone on from


def test_a_fault_that_is_gone_is_gone_on_from_where_another_shows_behind_it():
    """Both at chance: the mended output uncovers a vanishing gradient."""
    from trainwell.recipes.repair import _Repairing

    output, vanishing = finding("improper_output_activation"), finding("vanishing_gradient")
    choice = (output, remedy("output_activation", "softmax"))

    def at(score, *errors):
        return Run(model=None, findings=list(errors), score=score, epochs=1, seconds=1.0)

    repairing = object.__new__(_Repairing)
    repairing._training = type("Trained", (), {"score": Scores()})()
    repairing._leader = at(0.100, output), []
    assert repairing._leads(at(0.095, vanishing), [choice])
    assert not repairing._leads(at(0.095, output), [choice])
    assert not repairing._leads(at(0.050, vanishing), [choice])  # worse beyond noise
    assert repairing._leads(at(0.2, output, vanishing), [choice])  # better beyond noise


def test_the_best_is_given_back_also_where_it_was_not_gone_on_from():
    from trainwell.recipes.repair import _Repairing

    fault = finding("vanishing_gradient")

    def at(score, *errors):
        return Run(model=None, findings=list(errors), score=score, epochs=1, seconds=1.0)

    repairing = object.__new__(_Repairing)
    repairing._best = at(0.100, fault), 0
    assert not repairing._is_best(at(0.095))  # gone on from, as its error is gone
    assert repairing._is_best(at(0.101, fault, fault))
    assert repairing._is_best(at(0.100)) and not repairing._is_best(at(0.100, fault))


def test_a_repair_that_only_gets_worse_gives_back_the_best_attempt(monkeypatch):
    """Attempts of 0.40, 0.39 with the error gone, and 0.38: what comes back is the first."""
    from trainwell.recipes._repair_runs import Training

    errors = [[finding("dying_relu", remedy("learning_rate", 0.1))], [], []]
    scores = iter([0.40, 0.39, 0.38])
    models = []

    def trained(self, model, leader=None):
        models.append(model)
        found = errors[len(models) - 1]
        return Run(model=model, findings=found, score=next(scores), epochs=1, seconds=1.0)

    monkeypatch.setattr(Training, "run", trained)
    result = mended(network(), epochs=1, attempts=2)
    assert result.model is models[0]
    assert (result.score, result.healthy, result.changes) == (0.40, False, ())
