"""The findings of a report: their order, their words, the figure with each."""

import re

import numpy as np
import pytest

from trainwell.callbacks._data_ranges import plot_input_ranges, plot_target_ranges
from trainwell.callbacks._finding_figures import concerned_layers_html
from trainwell.callbacks._remedy_words import action_of
from trainwell.callbacks._report_findings import findings_html
from trainwell.callbacks._symptom_words import SYMPTOM_WORDS
from trainwell.callbacks.diagnosis.finding import KINDS, SYMPTOMS, Finding, Remedy
from trainwell.callbacks.record import TrainingRecord

NETWORK = {
    "layers": [
        {"path": "hidden", "class": "Dense", "units": 32, "activation": "sigmoid"},
        {"path": "dropped", "class": "Dropout", "rate": 0.75},
        {"path": "output", "class": "Dense", "units": 3, "activation": "softmax", "output": True},
    ],
    "loss": "mse",
    "optimizer": {"name": "SGD", "learning_rate": 0.01, "momentum": 0.9},
    "planned_epochs": 10,
}
NUMBERS = {"min": -1.0, "max": 255.0, "mean": 100.0, "std": 50.0}
DATA = {"inputs": [NUMBERS], "targets": [NUMBERS], "outputs": [NUMBERS | {"std": 0.0}]}


def record_with(data=DATA, **network):
    record = TrainingRecord(NETWORK | network)
    record.data = data
    return record


def found(symptom, cause=None, severity="error", layers=(), remedies=(), first_step=0):
    return Finding(
        symptom=symptom, layers=layers, severity=severity, first_step=first_step,
        evidence=f"numbers of {symptom}", remedies=remedies, cause=cause,
    )  # fmt: skip


def titles(html):
    return re.findall(r"<h3>([^<]*)</h3>", html)


def depth_of(html, symptom):
    """How many blocks of effects a finding is in."""
    open_blocks = []
    for tag in re.findall(r"<div[^>]*>|</div>", html[: html.index(f"<code>{symptom}</code>")]):
        if tag == "</div>":
            open_blocks.pop()
        else:
            open_blocks.append(tag)
    return sum("effects" in tag for tag in open_blocks)


def test_every_symptom_and_every_kind_of_change_has_words():
    assert set(SYMPTOM_WORDS) == set(SYMPTOMS)
    assert all(title and meaning.endswith(".") for title, meaning in SYMPTOM_WORDS.values())
    values = {"target_scaling": {"mean": 1.0, "std": 2.0}, "clipping": {"clipnorm": 1.0}}
    values |= {"regularization": {"l2": 1e-4}, "dropout": 0.2, "connect": None}
    for kind in KINDS:
        action, _ = action_of(kind, values.get(kind, "adam"), TrainingRecord())
        assert action
        assert not action.endswith(".")


@pytest.mark.parametrize(
    ("kind", "value", "code"),
    [
        ("activation", "relu", 'keras.layers.Dense(32, activation="relu")'),
        ("output_activation", "linear", 'keras.layers.Dense(3, activation="linear")'),
        (
            "initializer",
            "glorot_uniform",
            'keras.layers.Dense(32, activation="sigmoid", kernel_initializer="glorot_uniform")',
        ),
        (
            "learning_rate",
            0.001,
            "model.compile(keras.optimizers.SGD(learning_rate=0.001, momentum=0.9), ...)",
        ),
        (
            "clipping",
            {"clipnorm": 1.0},
            "model.compile(keras.optimizers.SGD(learning_rate=0.01, momentum=0.9, clipnorm=1), "
            "...)",
        ),
        ("optimizer", "adam", "model.compile(keras.optimizers.Adam(), ...)"),
        ("loss", "mse", 'model.compile(loss="mse", ...)'),
        (
            "target_scaling",
            {"mean": 5000.0, "std": 2.5},
            "y = (y - 5000) / 2.5  # and back: 2.5 * model.predict(x) + 5000",
        ),
        ("target_scaling", {"labels": 255.0}, "y = np.round(y * 255).astype(int)"),
        ("target_scaling", {"labels": None}, ""),
        ("epochs", None, "model.fit(x, y, epochs=30)"),
        ("dropout", 0.2, "keras.layers.Dropout(0.2)"),
        ("regularization", {"l2": 1e-4}, "kernel_regularizer=keras.regularizers.L2(0.0001)"),
    ],
)
def test_a_change_is_told_in_the_networks_own_code(kind, value, code):
    assert action_of(kind, value, record_with(), ["hidden"])[1] == code


def test_code_is_written_without_a_description_too():
    assert action_of("activation", "relu", TrainingRecord())[1] == (
        'keras.layers.Dense(..., activation="relu")'
    )
    assert action_of("unheard of", 1, TrainingRecord()) == ("", "")
    assert action_of("dropout", "less", TrainingRecord()) == ("", "")


def test_an_initializer_behind_an_activation_is_shown_with_it():
    remedies = [
        Remedy(kind=kind, value=value, reason="", source="")
        for kind, value in (("activation", "relu"), ("initializer", "he_normal"))
    ]
    html = findings_html([found("vanishing_gradient", remedies=remedies)], record_with())
    assert "activation=&quot;relu&quot;, kernel_initializer=&quot;he_normal&quot;" in html


def test_effects_are_below_their_root_and_roots_keep_their_order():
    remedy = Remedy(kind="loss", value="mse", reason="because", source="someone")
    html = findings_html(
        [
            found("unscaled_input", remedies=[remedy]),
            found("excessive_dropout", severity="warning"),
            found("not_learning", cause="dying_relu"),
            found("dying_relu", cause="unscaled_input", remedies=[remedy]),
        ],
        TrainingRecord(),
    )
    order = ["unscaled_input", "dying_relu", "not_learning", "excessive_dropout"]
    assert titles(html) == ["Change first", *(SYMPTOM_WORDS[name][0] for name in order)]
    assert [depth_of(html, name) for name in order] == [0, 1, 2, 0]
    first = html[html.index("<ol>") : html.index("</ol>")]
    assert re.findall("#finding-([0-9])", first) == ["1", "2"]
    assert "Compile with the loss mse." in first
    # A consequence's own remedies are folded: they are for what is left.
    assert html.count("<summary>If it is still there after that</summary>") == 1
    assert "<b>3 errors</b>" in html
    assert "<b>1 warning</b>" in html


def test_what_goes_round_in_a_circle_is_shown_all_the_same():
    circle = {"dying_relu": "vanishing_gradient", "vanishing_gradient": "dying_relu"}
    findings = [found(one, cause=cause) for one, cause in circle.items()]
    findings.append(found("not_learning", cause="dying_relu"))
    html = findings_html([*findings, found("non_finite", cause="non_finite")], TrainingRecord())
    for name in (*circle, "not_learning", "non_finite"):
        assert html.count(f"<code>{name}</code>") == 1


def test_a_cause_that_was_not_found_is_named():
    html = findings_html([found("dying_relu", cause="unscaled_input")], TrainingRecord())
    assert "<p>Cause: unscaled_input</p>" in html


def test_only_notes_ask_for_no_change():
    html = findings_html([found("overfitting", severity="info")], TrainingRecord())
    assert "Change first" not in html
    assert "<b>1 note</b>" in html


def test_long_lists_of_layers_are_cut():
    html = findings_html([found("dying_relu", layers=tuple("abcdefgh"))], TrainingRecord())
    assert "in a, b, c, d, e, f and 2 more, from the start" in html


# ---------------------------------------------------------------------- figures


def lines(figure):
    return {line.get_gid(): line.get_xdata() for line in figure.axes[0].lines if line.get_gid()}


def test_the_data_are_proved_by_their_ranges():
    for symptom, name in (("unscaled_input", "The inputs"), ("unscaled_target", "The targets")):
        html = findings_html([found(symptom)], record_with())
        assert html.count("<svg") == 1
        assert name in html
    np.testing.assert_array_equal(lines(plot_input_ranges(record_with()))["inputs"], [-1, 255])
    two = DATA | {"targets": [NUMBERS, NUMBERS | {"max": 3.0}]}
    ranges = lines(plot_target_ranges(record_with(two)))
    assert {name: list(ends) for name, ends in ranges.items()} == {
        "targets 1": [-1, 255],
        "targets 2": [-1, 3],
        "fresh answers": [-1, 255],
    }


@pytest.mark.parametrize(
    ("data", "loss"),
    [
        ({}, "mse"),
        ({"targets": [{"min": None}]}, "mse"),
        ({"targets": [NUMBERS | {"max": np.inf}]}, "mse"),
        (DATA, "sparse_categorical_crossentropy"),
    ],
)
def test_no_range_is_drawn_of_what_is_not_known_or_a_class(data, loss):
    assert "<svg" not in findings_html([found("improper_loss")], record_with(data, loss=loss))


def test_layers_are_marked():
    html = findings_html([found("excessive_dropout", layers=("dropped",))], record_with())
    assert html.count("◂ here") == 1
    assert "75%" in html
    many = [{"path": f"layer_{at}", "class": "Dense"} for at in range(40)]
    html = concerned_layers_html(TrainingRecord({"layers": many}), ["layer_7"])
    assert "layer_7<" in html
    assert "layer_8<" not in html
    assert concerned_layers_html(TrainingRecord(), ["layer_7"]) == ""


def test_overfitting_is_proved_by_the_two_losses():
    record = record_with()
    for epoch in range(3):
        record.add_epoch({"epoch": epoch, "fit": 0, "loss": 1.0 - epoch / 4, "val_loss": 1.0})
    html = findings_html([found("overfitting", severity="warning")], record)
    assert "the two part" in html
    assert html.count("<svg") == 1
