"""`TrainingDoctor` in real `fit` calls: what it says, when, what it does, what it leaves."""

import copy
import warnings

import keras
import numpy as np
import pytest

from trainwell.callbacks._doctor_schedule import Firmness, Schedule, default_every
from trainwell.callbacks._findings_text import findings_text
from trainwell.callbacks.diagnosis.finding import Finding, Remedy, Severity
from trainwell.callbacks.record import TrainingRecord
from trainwell.callbacks.training_doctor import TrainingDoctor, TrainingProblemError

layers = keras.layers
RANDOM = np.random.default_rng(0)
X = RANDOM.normal(size=(256, 8)).astype("float32")
Y = (X[:, :3] @ RANDOM.normal(size=(3, 3))).argmax(axis=1)


def classifier(hidden=(), optimizer="adam", outputs=3, **options):
    keras.utils.set_random_seed(1)
    model = keras.Sequential(
        [keras.Input((8,)), *hidden, layers.Dense(outputs, "softmax", name="outputs")], name="net"
    )
    options = {"metrics": ["accuracy"]} | options
    model.compile(optimizer, "sparse_categorical_crossentropy", **options)
    return model


def sound(**options):
    hidden = [layers.Dense(16, "relu", kernel_initializer="he_normal", name="hidden")]
    return classifier(hidden, keras.optimizers.Adam(0.01), **options)


def vanishing(**options):
    hidden = [layers.Dense(8, "sigmoid", name=f"hidden_{at}") for at in range(10)]
    return classifier(hidden, "sgd", **options)


def blowing_up():
    """Its loss overflows within a few steps."""
    keras.utils.set_random_seed(1)
    model = keras.Sequential([keras.Input((8,)), layers.Dense(16), layers.Dense(1)], name="net")
    model.compile(keras.optimizers.SGD(100.0), "mse")
    return model


def fitted(model, doctor, x=X, y=Y, epochs=3, **options):
    options = {"batch_size": 16, "verbose": 0} | options
    model.fit(x, y, epochs=epochs, callbacks=[doctor], **options)
    return doctor


def errors(doctor):
    return [one.symptom for one in doctor.findings if one.severity is Severity.ERROR]


# ---------------------------------------------------------------------- what it sees and says


def test_a_sound_run_has_no_error_and_no_warning():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        doctor = fitted(sound(), TrainingDoctor(), epochs=10, validation_split=0.25)
    assert not errors(doctor)
    record = doctor.record
    assert set(record.groups) == {"gradients", "activations"}
    np.testing.assert_array_equal(record.steps, np.arange(120))
    np.testing.assert_array_equal(record.groups["activations"].data["step"], record.steps)
    assert record.data["samples"] == 192
    assert len(record.epochs) == 10
    assert record.network["planned_epochs"] == 10


def test_a_vanishing_gradient_is_told_once_and_early():
    with pytest.warns(UserWarning) as told:
        doctor = fitted(vanishing(), TrainingDoctor(), epochs=16)
    told = [str(one.message) for one in told]
    of_it = [one for one in told if "vanishing_gradient" in one]
    assert len(of_it) == 1
    steps = int(of_it[0].split("after ")[1].split(" steps")[0])
    assert steps <= 26  # a tenth of 256
    assert errors(doctor)[0] == "vanishing_gradient"


def test_verbose_0_is_silent():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        doctor = fitted(vanishing(), TrainingDoctor(verbose=0), epochs=2)
    assert "vanishing_gradient" in errors(doctor)


def test_it_warns_before_the_run_ends_and_only_in_fit():
    with pytest.warns(UserWarning, match="non_finite"):
        doctor = fitted(blowing_up(), TrainingDoctor(), y=X[:, :1], epochs=2)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert "non_finite" in errors(doctor)


def test_the_report(tmp_path):
    doctor = fitted(vanishing(), TrainingDoctor(verbose=0), epochs=10)
    text = doctor.report(tmp_path / "report.html")
    assert text.startswith("net, 160 steps, 10 epochs: ")
    assert "1. error: vanishing_gradient in hidden_0" in text
    assert "Try activation relu" in text
    assert max(map(len, text.splitlines())) <= 100
    page = (tmp_path / "report.html").read_text()
    assert page.count("The gradient on its way from the output") == 2  # its label and its caption
    assert page.count("A network that learns falls below the best constant prediction.") == 2
    assert "bias_initializer" not in page  # of the layers, what a reader knows them by


def test_before_any_fit():
    doctor = TrainingDoctor()
    assert doctor.findings == []
    assert doctor.report() == "the network: no step has been seen."


# ---------------------------------------------------------------------- what it does


def test_stop_ends_a_hopeless_run(capsys):
    with pytest.warns(UserWarning, match="non_finite"):
        doctor = fitted(blowing_up(), TrainingDoctor("stop"), y=X[:, :1], epochs=50)
    assert doctor.stopped_at is not None
    assert len(doctor.record.epochs) < 50
    assert "stops the run" in capsys.readouterr().out


def test_stop_lets_a_sound_run_finish():
    doctor = fitted(sound(), TrainingDoctor("stop"), epochs=10)
    assert doctor.stopped_at is None
    assert len(doctor.record.epochs) == 10


def test_raise_at_the_end_of_an_epoch_leaves_the_record_and_the_model():
    model, doctor = blowing_up(), TrainingDoctor("raise", verbose=0)
    with pytest.raises(TrainingProblemError, match="non_finite") as raised:
        fitted(model, doctor, y=X[:, :1], epochs=50)
    assert raised.value.findings[0].severity is Severity.ERROR
    epochs = len(doctor.record.epochs)
    assert doctor.record.steps[-1] == 16 * epochs - 4  # a row in four steps
    assert not {"compute_loss", "call"} & set(vars(model))
    assert not {"apply", "scale_loss"} & set(vars(model.optimizer))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"action": "halt"}, "`action` must be one of 'report', 'stop', 'raise'"),
        ({"every": 0}, "`every` must be a whole number"),
        ({"every": 1.5}, "`every` must be a whole number"),
        ({"verbose": 3}, "`verbose` must be"),
    ],
)
def test_bad_arguments(arguments, message):
    with pytest.raises(ValueError, match=message):
        TrainingDoctor(**arguments)


def test_a_copy_is_fresh_with_the_same_settings():
    doctor = fitted(sound(), TrainingDoctor("stop", 3, 0), epochs=1)
    fresh = copy.deepcopy(doctor)
    assert (fresh.action, fresh.every, fresh.verbose) == ("stop", 3, 0)
    assert not fresh.record.groups


def test_a_broken_rule_ends_no_training(monkeypatch):
    def broken(record):
        raise KeyError("broken")

    monkeypatch.setattr("trainwell.callbacks.training_doctor.diagnose", broken)
    with pytest.warns(UserWarning, match="stopped judging, training goes on") as told:
        doctor = fitted(sound(), TrainingDoctor(), epochs=3)
    assert len(told) == 1
    assert len(doctor.record.epochs) == 3


# ---------------------------------------------------------------------- every kind of training


@pytest.mark.parametrize(("jit", "every"), [(False, 1), (True, 3)])
def test_training_is_bit_identical(jit, every):
    def trained(*callbacks):
        model = sound(jit_compile=jit)
        model.fit(X, Y, batch_size=16, epochs=2, verbose=0, callbacks=list(callbacks))
        return [v.numpy().tobytes() for v in (*model.variables, *model.optimizer.variables)]

    assert trained(TrainingDoctor(every=every)) == trained()


def test_nothing_stays_on_the_model():
    model = sound()
    fitted(model, TrainingDoctor(), epochs=1)
    assert "compute_loss" not in vars(model)
    assert not {"apply", "scale_loss"} & set(vars(model.optimizer))
    assert not any("call" in vars(layer) for layer in model.layers)


def test_a_resumed_fit_goes_on_in_one_record():
    model, doctor = sound(), TrainingDoctor()
    fitted(model, doctor, epochs=4)
    fitted(model, doctor, epochs=10, initial_epoch=4)
    np.testing.assert_array_equal(doctor.record.steps, np.arange(160))
    assert doctor.record.network["planned_epochs"] == 10
    assert not errors(doctor)


def test_a_trained_model_is_not_ill():
    model = sound()
    model.fit(X, Y, batch_size=16, epochs=20, verbose=0)
    doctor = fitted(model, TrainingDoctor(), epochs=5)
    assert not errors(doctor)


def test_a_model_compiled_anew_starts_another_record():
    model, doctor = sound(), TrainingDoctor()
    fitted(model, doctor, epochs=4)
    model.compile("sgd", "sparse_categorical_crossentropy")
    fitted(model, doctor, epochs=2)
    assert doctor.record.network["planned_epochs"] == 2
    assert doctor.record.network["optimizer"]["name"] == "SGD"
    assert len(doctor.record.steps) == len(doctor.record.groups["activations"].data) == 32


def test_another_model_starts_another_record():
    doctor = fitted(sound(), TrainingDoctor(), epochs=1)
    hidden = [layers.Dense(4, "tanh", name="other")]
    fitted(classifier(hidden), doctor, epochs=1)
    assert doctor.record.layers == ("other", "outputs")
    assert doctor.record.groups["activations"].columns[0]["path"] == "other"
    assert len(doctor.record.steps) == 16
    unknown = classifier([layers.Dense(4, keras.ops.sin)])
    assert set(fitted(unknown, doctor, epochs=1).record.groups) == {"gradients"}


def test_the_plan_is_in_updates_where_gradients_accumulate():
    model = classifier(optimizer=keras.optimizers.Adam(0.01, gradient_accumulation_steps=4))
    record = fitted(model, TrainingDoctor(), epochs=2).record
    assert record.network["steps_per_epoch"] == 4
    assert len(record.steps) == 8


def test_steps_per_execution():
    doctor = fitted(sound(steps_per_execution=5), TrainingDoctor(), epochs=3)
    np.testing.assert_array_equal(doctor.record.steps, np.arange(48))
    assert not errors(doctor)


class Adversaries(keras.Model):
    """Two networks, two optimizers, no compiled loss."""

    def __init__(self):
        super().__init__()
        self.maker = keras.Sequential([keras.Input((2,)), layers.Dense(8)])
        self.judge = keras.Sequential([keras.Input((8,)), layers.Dense(1)])
        self.judge_optimizer = keras.optimizers.Adam(1e-3)

    def call(self, inputs):
        return self.judge(inputs)

    def train_step(self, data):
        import tensorflow as tf

        real, _ = data
        noise = tf.ones((tf.shape(real)[0], 2))
        with tf.GradientTape(persistent=True) as tape:
            real_score, false_score = self.judge(real), self.judge(self.maker(noise))
            judged = tf.reduce_mean(false_score**2 + (1 - real_score) ** 2)
            made = tf.reduce_mean((1 - false_score) ** 2)
        for loss, network, optimizer in (
            (judged, self.judge, self.judge_optimizer),
            (made, self.maker, self.optimizer),
        ):
            variables = network.trainable_variables
            optimizer.apply_gradients(zip(tape.gradient(loss, variables), variables, strict=True))
        return {"judged": judged, "made": made}


def test_adversarial_networks_have_no_error():
    model = Adversaries()
    model.compile(optimizer=keras.optimizers.Adam(1e-3))
    doctor = fitted(model, TrainingDoctor(), epochs=8)
    assert not errors(doctor)


def test_after_an_exception_the_next_fit_is_watched_anew():
    class Broken(keras.callbacks.Callback):
        def on_train_batch_end(self, batch, logs=None):
            if batch == 3:
                raise RuntimeError("cut off")

    model, doctor = sound(), TrainingDoctor()
    with pytest.raises(RuntimeError, match="cut off"):
        model.fit(X, Y, verbose=0, callbacks=[doctor, Broken()])
    assert len(doctor.record.steps) == 4
    fitted(model, doctor, epochs=2)
    assert len(doctor.record.steps) == 36
    assert "compute_loss" not in vars(model)


# ---------------------------------------------------------------------- when it looks


def test_rows_by_default():
    assert [default_every(steps) for steps in (1, 399, 400, 1000, 2000, 10**6, None)] == [
        1, 1, 2, 5, 10, 10, 10,
    ]  # fmt: skip
    # A tenth of the plan has 20 rows from 200 steps on.
    assert all(steps / 10 / default_every(steps) >= 20 for steps in range(200, 3000))


def looks(schedule, steps):
    taken = []
    for step in range(steps + 1):
        if schedule.is_due(step):
            with schedule.looking(step):
                taken.append(step)
    return taken


def test_looks_are_at_doubling_distances_then_a_fortieth_of_the_plan():
    schedule = Schedule(4000, every=1, clock=lambda: 0.0)
    assert looks(schedule, 450) == [10, 20, 40, 80, 160, 260, 360]


def test_looks_wait_for_their_share_of_the_time():
    now = [0.0]
    schedule = Schedule(400, every=1, clock=lambda: now[0])
    for step in (10, 20, 30, 40):
        assert schedule.is_due(step)
        with schedule.looking(step):
            now[0] += 0.5
    assert not schedule.is_due(50)  # 2 of 2 seconds went into looking
    now[0] = 200.0
    assert schedule.is_due(50)


def test_two_looks_make_it_firm_and_it_is_told_once():
    error, warning = found("error"), found("warning")
    firmness = Firmness()
    assert firmness.look([error]) == []
    assert firmness.look([]) == []
    assert firmness.look([error]) == []
    assert firmness.look([error]) == [error]
    assert firmness.errors == [error]
    assert firmness.look([error]) == []
    assert firmness.look([warning]) == []
    assert firmness.errors == []


def test_a_warning_that_becomes_an_error_is_told_again():
    firmness = Firmness()
    firmness.look([found("warning")])
    assert firmness.look([found("warning")]) == [found("warning")]
    assert firmness.look([found("error")]) == []  # the first look at the error
    assert firmness.look([found("error")]) == [found("error")]


def test_not_finite_is_firm_at_once_and_any_error_at_the_end():
    firmness = Firmness()
    assert firmness.look([found("error", "non_finite")])
    assert firmness.look([found("error"), found("warning", "overfitting")], is_last=True) == [
        found("error")
    ]
    assert not Firmness().look([found("info")], is_last=True)


# ---------------------------------------------------------------------- the text


def found(severity, symptom="not_learning", **options):
    options = {"layers": (), "first_step": 0, "evidence": "The loss is 1."} | options
    return Finding(symptom=symptom, severity=severity, **options)


def test_consequences_are_below_their_root():
    remedy = Remedy(kind="input_scaling", value="standardize", reason="It helps.", source="LeCun")
    root = found("error", "unscaled_input", remedies=(remedy,))
    middle = found(
        "error",
        "dying_relu",
        cause="unscaled_input",
        first_step=7,
        layers=("a",),
        remedies=(remedy,),
    )
    last = found("error", "not_learning", cause="dying_relu")
    other = found("warning", "excessive_dropout", cause="saturated_activation")  # not present
    assert findings_text(TrainingRecord({"name": "net"}), [root, other, middle, last]) == (
        "net: no step has been seen.\n"
        "\n"
        "1. error: unscaled_input, from the start\n"
        "   The loss is 1.\n"
        "   * Try input scaling standardize: It helps. (LeCun)\n"
        "   It brings about:\n"
        "    - error: dying_relu in a, since step 7\n"
        "       The loss is 1.\n"
        "       It brings about:\n"
        "        - error: not_learning, from the start\n"
        "           The loss is 1.\n"
        "\n"
        "2. warning: excessive_dropout, from the start\n"
        "   The loss is 1."
    )
