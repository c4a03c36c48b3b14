"""What `HeuristicTuner` and `search` refuse before anything is trained."""

import keras
import pytest

from trainwell.recipes.search import HeuristicTuner, L2Stage, LearningRateStage

X, Y = [[0.0], [1.0]], [0, 1]


def build(hp):
    model = keras.Sequential([keras.Input((1,)), keras.layers.Dense(2)])
    rate = hp.Float("learning_rate", 1e-3, 1.0, sampling="log")
    model.compile(keras.optimizers.SGD(rate), "mse")
    return model


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"hypermodel": None}, "`hypermodel` must be a function"),
        ({"hypermodel": 3}, "Received: hypermodel=3"),
        ({"objective": None}, "`objective` must name"),
        ({"seed": "x"}, "`seed` must be a whole number"),
        ({"seed": -1}, "`seed`"),
        ({"seed": 1.5}, "`seed`"),
        ({"max_trials": "3"}, "max_trials='3'"),
        ({"max_trials": 0}, "max_trials=0"),
        ({"executions_per_trial": 0}, "executions_per_trial=0"),
        ({"stages": [LearningRateStage]}, "`stages` must be a sequence of stages"),
        ({"stages": "rate"}, "`stages`"),
        ({"tuner_id": "worker"}, "KERASTUNER_TUNER_ID"),
    ],
)
def test_refused_at_construction(options, message, tmp_path):
    given = {"hypermodel": build, "directory": str(tmp_path), **options}
    with pytest.raises(ValueError, match=message):
        HeuristicTuner(**given)
    assert list(tmp_path.iterdir()) == []


def test_epochs_are_the_stages(tmp_path):
    tuner = HeuristicTuner(build, directory=str(tmp_path), seed=0)
    with pytest.raises(ValueError, match=r"`epochs` is set by the stages\. Received: epochs=5"):
        tuner.search(X, Y, epochs=5)


def test_before_a_search_nothing_is_chosen(tmp_path, capsys):
    tuner = HeuristicTuner(build, directory=str(tmp_path), seed=0)
    assert dict(tuner.trace.chosen) == {}
    tuner.results_summary()
    assert "Chosen: nothing yet" in capsys.readouterr().out
    assert tuner.get_best_hyperparameters() == []


def test_a_loss_that_holds_the_penalty_is_told(tmp_path):
    tuner = HeuristicTuner(
        build, [L2Stage()], objective="val_loss", directory=str(tmp_path), seed=0
    )
    assert any("holds the penalty" in note for note in tuner.oracle.way().notes)
