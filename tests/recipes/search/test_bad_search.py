"""A search that can't go on says why and what to do, and leaves what was there before."""

import importlib.util
import json
import os
from pathlib import Path

import keras
import keras_tuner
import numpy as np
import pytest

from trainwell.recipes.search.stages import EpochsStage, L2Stage, LearningRateStage
from trainwell.recipes.search.tuner import HeuristicTuner

_spec = importlib.util.spec_from_file_location(
    "search_program", Path(__file__).with_name("search_program.py")
)
program = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(program)

X, Y = program.data()
RATES = [LearningRateStage(epochs=2, executions=1, start=0.1, lowest=0.1, highest=1.0)]


def model(rate, l2=0.0, **settings):
    network = keras.Sequential(
        [
            keras.Input((8,)),
            keras.layers.Dense(2, "softmax", kernel_regularizer=keras.regularizers.L2(l2)),
        ]
    )
    settings = {"loss": "sparse_categorical_crossentropy", "metrics": ["accuracy"]} | settings
    network.compile(keras.optimizers.SGD(rate), **settings)
    return network


def build_model(hp):
    return model(hp.Float("learning_rate", 1e-6, 100.0, sampling="log"))


def tuner_of(build, directory, stages=RATES, **options):
    options = {"seed": 0, "project_name": "search"} | options
    return HeuristicTuner(build, stages, directory=str(directory), **options)


def search(tuner, x=X, y=Y, **options):
    tuner.search(x, y, **{"validation_split": 0.25, "verbose": 0} | options)


def files(directory):
    return {path: path.read_bytes() for path in Path(directory).rglob("*.json")}


class StopAt(keras.callbacks.Callback):
    """Interrupts a search after so many runs."""

    runs = 0

    def __init__(self, after):
        super().__init__()
        self.after = after

    def on_train_begin(self, logs=None):
        StopAt.runs += 1
        if StopAt.runs > self.after:
            raise KeyboardInterrupt


@pytest.fixture
def begun(tmp_path):
    """A directory in which a search was interrupted in its third run."""
    StopAt.runs = 0
    with pytest.raises(KeyboardInterrupt):
        search(tuner_of(build_model, tmp_path), callbacks=[StopAt(2)])
    assert len(program.finished(tmp_path)) == 2
    return tmp_path


def test_a_model_that_ignores_the_rate(tmp_path):
    def ignores(hp):
        hp.Float("learning_rate", 1e-6, 100.0, sampling="log")
        return model(0.1)

    tuner = tuner_of(ignores, tmp_path)
    with pytest.raises(ValueError, match=r"reads `learning_rate`, but .*Received.*Pass it to the"):
        search(tuner)
    before = program.finished(tmp_path)
    assert len(before) == 1
    search(tuner_of(build_model, tmp_path))
    after = program.finished(tmp_path)
    assert {trial_id: after[trial_id] for trial_id in before} == before


def test_a_model_that_ignores_the_penalty(tmp_path):
    def ignores(hp):
        hp.Float("l2", 0.0, 1.0)
        return model(0.1)

    with pytest.raises(ValueError, match=r"reads `l2`, but .*Received.*Pass it to the regularizer"):
        search(tuner_of(ignores, tmp_path, [L2Stage(epochs=1)]))


@pytest.mark.parametrize(
    ("objective", "options"),
    [
        ("val_auc", {"objective": keras_tuner.Objective("val_auc", "max")}),
        ("val_accuracy", {"validation_split": 0.0}),
    ],
)
def test_an_objective_that_is_never_reported(tmp_path, objective, options):
    split = {key: options[key] for key in options if key == "validation_split"}
    rest = {key: options[key] for key in options if key != "validation_split"}
    tuner = tuner_of(build_model, tmp_path, **rest)
    with pytest.raises(ValueError, match=rf"never reports.*objective='{objective}'.*Compile with"):
        search(tuner, **split)
    assert program.finished(tmp_path) == {}


def test_an_all_nan_decade(tmp_path):
    x = np.where(np.arange(160)[:, None] % 4 == 0, np.nan, X).astype("float32")
    tuner = tuner_of(build_model, tmp_path)
    with pytest.raises(ValueError, match=r"can't go on\. LearningRateStage: .*"):
        search(tuner, x)
    trials = program.finished(tmp_path)
    assert len(trials) > 1
    assert {trial["status"] for trial in trials.values()} == {"COMPLETED"}
    with pytest.raises(ValueError, match=r"on other data. Received: .*overwrite=True"):
        search(tuner_of(build_model, tmp_path))
    assert program.finished(tmp_path) == trials
    mended = tuner_of(build_model, tmp_path, project_name="mended")
    search(mended)
    assert "learning_rate" in mended.trace.chosen


def test_a_rate_whose_model_cannot_be_built(tmp_path):
    """One failure is taken as no rate to choose, and the search goes on."""

    def breaks(hp):
        rate = hp.Float("learning_rate", 1e-6, 100.0, sampling="log")
        if rate == 10.0:
            raise RuntimeError("no such rate")
        return model(rate)

    stages = [LearningRateStage(epochs=2, executions=1, start=0.1, lowest=0.1, highest=10.0)]
    tuner = tuner_of(breaks, tmp_path, stages)
    with pytest.warns(UserWarning, match="RuntimeError: no such rate"):
        search(tuner)
    failed = [t for t in tuner.oracle.trials.values() if t.status == "FAILED"]
    assert [t.hyperparameters.values["learning_rate"] for t in failed] == [10.0]
    assert tuner.trace.chosen["learning_rate"] < 10.0


def test_a_build_model_that_always_fails_and_is_mended(tmp_path):
    broken = [False]

    def breaks(hp):
        if broken[0]:
            raise RuntimeError("no such file")
        return build_model(hp)

    tuner = tuner_of(breaks, tmp_path)
    broken[0] = True
    with (
        pytest.warns(UserWarning, match="no such file"),
        pytest.raises(ValueError, match="failed: RuntimeError: no such file"),
    ):
        search(tuner)
    broken[0] = False
    again = tuner_of(breaks, tmp_path)
    search(again)
    search(undisturbed := tuner_of(breaks, tmp_path / "undisturbed"))
    assert again.trace.chosen == undisturbed.trace.chosen
    assert all(trial.status == "COMPLETED" for trial in again.oracle.trials.values())


@pytest.mark.skipif(os.geteuid() == 0, reason="nothing is read-only to root")
def test_a_read_only_directory(tmp_path):
    tmp_path.chmod(0o500)
    with pytest.raises(ValueError, match=r"can be written to. Received: directory=.*Name another"):
        tuner_of(build_model, tmp_path)
    tmp_path.chmod(0o700)


def test_a_directory_that_is_a_file(tmp_path):
    (tmp_path / "search").write_text("mine")
    with pytest.raises(ValueError, match=r"can be written to. Received: directory=.*Name another"):
        tuner_of(build_model, tmp_path)
    assert (tmp_path / "search").read_text() == "mine"


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("stages", {"stages": [LearningRateStage(epochs=3)]}),
        ("seed", {"seed": 5}),
        ("objective", {"objective": "val_loss"}),
    ],
)
def test_a_directory_of_another_search(begun, name, options):
    before = files(begun)
    with pytest.raises(ValueError, match=rf"another search. Received: {name}=.*`overwrite=True`"):
        tuner_of(build_model, begun, **options)
    assert files(begun) == before
    search(tuner_of(build_model, begun))
    assert set(files(begun)) >= set(before)


def test_a_directory_of_a_tuner_of_keras_tuner(tmp_path):
    random = keras_tuner.RandomSearch(
        build_model, "val_accuracy", max_trials=1, directory=str(tmp_path), project_name="search"
    )
    random.search(X, Y, validation_split=0.25, epochs=1, verbose=0)
    before = files(tmp_path)
    with pytest.raises(ValueError, match=r"another search\. .*`overwrite=True`"):
        tuner_of(build_model, tmp_path)
    assert files(tmp_path) == before


def test_a_state_that_is_no_json(begun):
    (begun / "search" / "oracle.json").write_text('{"half": ')
    with pytest.raises(ValueError, match=r"no JSON. Received: .*oracle|no JSON. Received: .*"):
        tuner_of(build_model, begun)
    assert len(program.finished(begun)) == 2


def test_other_data(begun):
    before = program.finished(begun)
    with pytest.raises(ValueError, match=r"other data. Received: .*overwrite=True"):
        search(tuner_of(build_model, begun), X[:100], Y[:100])
    assert program.finished(begun) == before
    search(tuner_of(build_model, begun))


def test_interrupted_and_searched_again_in_one_process(begun):
    StopAt.runs = 0
    tuner = tuner_of(build_model, begun / "again")
    with pytest.raises(KeyboardInterrupt):
        search(tuner, callbacks=[StopAt(1)])
    search(tuner)
    search(tuner_of(build_model, begun))
    assert program.outcome(begun / "again").keys() == program.outcome(begun).keys()


@pytest.mark.parametrize(
    ("build", "words"),
    [
        (lambda hp: "a model", "must return a compiled Keras model. Received: 'a model'"),
        (lambda hp: keras.Sequential([keras.Input((8,)), keras.layers.Dense(2)]), "optimizer"),
    ],
)
def test_what_build_model_must_return(tmp_path, build, words):
    with pytest.raises((ValueError, TypeError), match=words):
        search(tuner_of(build, tmp_path, [EpochsStage(patience=(1,), limit=2)]))


def test_a_hypermodel_whose_fit_reads_the_batch_size(tmp_path):
    """As in KerasTuner's guide: `batch_size` and all else that `search` was given."""
    sizes = []

    class Own(keras_tuner.HyperModel):
        def build(self, hp):
            return build_model(hp)

        def fit(self, hp, model, *args, **kwargs):
            sizes.append(hp.Choice("batch_size", [16, 32]))
            return model.fit(*args, batch_size=sizes[-1], **kwargs)

    tuner = tuner_of(Own(), tmp_path)
    search(tuner)
    assert set(sizes) == {16}
    assert "learning_rate" in tuner.trace.chosen


def test_the_state_is_strict_enough_to_read(begun):
    for content in files(begun).values():
        json.loads(content)
