"""docs/doctor.md: its Python runs as it stands, its table is complete, its schema the code's."""

import json
import re
import warnings
from pathlib import Path
from types import SimpleNamespace

import keras
import numpy as np

from trainwell.callbacks.diagnosis.finding import SYMPTOMS, Finding, Remedy
from trainwell.callbacks.record import TrainingRecord
from trainwell.recipes.check.data import Samples
from trainwell.recipes.check.summary import Fit, summary_of
from trainwell.recipes.remedies.changes import Change

DOCUMENT = Path(__file__).parents[2] / "docs" / "doctor.md"
TEXT = DOCUMENT.read_text(encoding="utf-8")


def blocks(language):
    return re.findall(rf"```{language}\n(.*?)```", TEXT, re.DOTALL)


def test_the_blocks_run(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    names = {}
    assert len(blocks("python")) == 5
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the doctor's
        for block in blocks("python"):
            exec(compile(block, str(DOCUMENT), "exec"), names)
    printed = capsys.readouterr().out
    assert "1. error: vanishing_gradient" in printed
    assert "- error: not_learning" in printed
    assert (tmp_path / "report.html").stat().st_size > 10_000
    data, result = names["data"], names["result"]
    assert result.score > 0.7 > result.score_before
    for model in (names["mended"], keras.models.load_model(tmp_path / "mended.keras")):
        answers = model.predict(data.x_test, verbose=0).argmax(axis=1)
        assert (answers == data.y_test).mean() > 0.6


def test_every_symptom_has_its_row():
    rows = re.findall(r"^\| `(\w+)` \|(.*)\|$", TEXT, re.MULTILINE)
    assert sorted(name for name, _ in rows) == sorted(SYMPTOMS)
    assert all(len(rest.split(" | ")) == 4 and "  |" not in rest for _, rest in rows)


def test_schema_is_that_of_the_summary():
    [schema] = map(json.loads, blocks("json"))
    remedy = Remedy(kind="loss", value="mse", reason="", source="")
    finding = Finding(
        symptom="improper_loss",
        layers=("a",),
        severity="error",
        first_step=0,
        evidence="",
        remedies=(remedy,),
    )
    change = Change.of(finding, remedy, ("a",), "b", "c")
    attempt = SimpleNamespace(
        number=0, outcome="", score=0.0, epochs=1, seconds=0.0, changes=(), not_changed=(),
        findings=[],
    )  # fmt: skip
    repair = SimpleNamespace(
        healthy=True, metric="accuracy", score_before=0.0, score=1.0, changes=(change,),
        not_changed=("d",), attempts=[attempt],
    )  # fmt: skip
    none = np.zeros((1, 8, 8))
    summary = summary_of(
        Path("model.keras"),
        TrainingRecord(),
        Samples("d.npz", none, none, none, none, False),
        before=[],
        findings=[finding],
        fit=Fit(epochs=1, seconds=0.0, metric="accuracy", score=1.0, chance=0.0, logs={}),
        repair=repair,
        repaired=Path("repaired.keras"),
    )
    assert keys(json.loads(summary)) == keys(schema) - {
        "fit.logs.loss",
        "fit.logs.val_loss",
    }


def keys(value, path=""):
    """Paths of all keys; the elements of a list count as one."""
    if isinstance(value, list):
        return set().union(*(keys(one, path) for one in value))
    if not isinstance(value, dict):
        return set()
    own = {f"{path}.{key}".lstrip(".") for key in value}
    return own.union(*(keys(one, f"{path}.{key}") for key, one in value.items()))
