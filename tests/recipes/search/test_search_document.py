"""The Python of docs/search.md runs as it stands, in its order."""

import re
from pathlib import Path

DOCUMENT = Path(__file__).parents[3] / "docs" / "search.md"


def test_the_blocks_run(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    names = {}
    blocks = re.findall(r"```python\n(.*?)```", DOCUMENT.read_text(encoding="utf-8"), re.DOTALL)
    assert len(blocks) == 4
    for block in blocks:
        exec(compile(block, str(DOCUMENT), "exec"), names)
    data, model = names["data"], names["model"]
    model.compile("sgd", "sparse_categorical_crossentropy", metrics=["accuracy"])
    assert model.evaluate(data.x_test, data.y_test, verbose=0)[1] > 0.94
    assert (tmp_path / "search.png").stat().st_size > 10_000
    assert names["tuner"].trace.chosen["learning_rate"] > 0.01
    assert names["x"].shape == (200, 8, 8)
    assert len(names["random"].oracle.trials) == 3
