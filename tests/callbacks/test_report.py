from dataclasses import dataclass
from html.parser import HTMLParser

import numpy as np
import pytest

from trainwell.callbacks import TrainingRecord, write_report
from trainwell.callbacks._rows import Rows
from trainwell.callbacks.report import write_comparison

VOID = {"meta", "br", "wbr"}
NETWORK = {
    "name": "deep <net>",
    "class": "Functional",
    "parameters": 89_610,
    "layers": [{"path": "hidden_1", "class": "Dense", "activation": "selu", "units": 100}],
    "loss": "sparse_categorical_crossentropy",
    "optimizer": {"name": "SGD", "learning_rate": 0.125},
    "planned_epochs": 10,
    "batch_size": 32,
    "steps_per_epoch": 57,
}


@dataclass
class Remedy:
    kind: str = "activation"
    value: object = "selu"
    reason: str = "It does not saturate & vanish."
    source: str = "Géron, chapter 11"


@dataclass
class Finding:
    symptom: str = "vanishing_gradient"
    layers: tuple = ("hidden_1", "a<b")
    severity: str = "error"
    first_step: int | None = 1234
    evidence: object = "ratio 0.0081"
    remedies: tuple = (Remedy(),)
    cause: object = "poor_initialization"


class Page(HTMLParser):
    """Parses a page and checks that every element is closed in its turn."""

    def __init__(self, path):
        super().__init__()
        self.source, self.text, self.attributes, self.open = path.read_text(), "", [], []
        self.feed(self.source)
        self.close()
        assert not self.open

    def handle_starttag(self, tag, attributes):
        self.attributes += attributes
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attributes):
        self.attributes += attributes

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if not self.open or self.open[-1] != "style":
            self.text += data


def record_of(norms, *, names=None, extra=(), network=None):
    norms = np.asarray(norms, np.float32)
    names = names or [f"hidden_{i + 1}" for i in range(norms.shape[1] - 1)] + ["output"]
    columns = [
        {"path": f"{name}/kernel", "layer": name, "part": "kernel", "shape": [1], "size": 1}
        | {"connected": True}
        for name in names
    ]
    group = Rows("gradients", columns, ("gradient_norm", *extra))
    record = TrainingRecord(network)
    record.add_group(group)
    rows = group.empty(len(norms))
    rows["step"], rows["loss"], rows["gradient_norm"] = np.arange(len(norms)), 1.5, norms
    for value, statistic in enumerate(extra):
        rows[statistic] = 2.0 ** -(value + 1)
    record.append("gradients", rows)
    record.add_epoch({"epoch": 0, "fit": 0, "loss": 0.75, "val_loss": 0.8125, "accuracy": 0.9375})
    return record


@pytest.fixture
def record():
    norms = [[0.011, 0.22, 3.3], [0.012, 0.24, 3.6], [0.013, 0.26, 3.9]]
    return record_of(norms, network=dict(NETWORK))


def check_self_contained(page):
    for name, value in page.attributes:
        if name in ("src", "href", "xlink:href", "srcset", "data"):
            assert value.startswith("#"), (name, value)
    assert "http" not in page.source.replace("http-equiv", "")
    assert "@import" not in page.source and "<script" not in page.source
    used = {v[1:] for n, v in page.attributes if n == "href"}
    ids = [value for name, value in page.attributes if name == "id"]
    assert used <= set(ids) and len(ids) == len(set(ids))


def test_report_says_what_was_trained_and_holds_the_numbers(record, tmp_path):
    path = write_report(record, [], tmp_path / "report.html")
    assert path == tmp_path / "report.html"
    page = Page(path)
    check_self_contained(page)
    for text in ("deep <net>", "89,610", "SGD, learning_rate 0.125", "1 of 10 planned", "57"):
        assert text in page.text
    for text in ("0.9375", "0.8125", "0.75", "No findings."):
        assert text in page.text
    # First, median and last of hidden_1, and its ratio to hidden_2.
    for text in ("0.011", "0.012", "0.013", "0.05"):
        assert f">{text}</td>" in page.source
    assert page.source.count("<svg") == 3
    assert list(tmp_path.iterdir()) == [path]


def test_recorded_extras_have_columns(tmp_path):
    extra = ("update_norm", "weight_norm", "zero_fraction")
    page = Page(write_report(record_of(np.ones((3, 3)), extra=extra), [], tmp_path / "r.html"))
    assert "zero gradients" in page.text and ">0.125</td>" in page.source
    assert "update / weight" in page.text and ">2</td>" in page.source


def test_findings_are_shown(record, tmp_path):
    page = Page(write_report(record, [Finding()], tmp_path / "r.html", title="A & B"))
    for text in (
        "A & B",
        "vanishing_gradient in hidden_1, a<b",
        "a<b, since step 1,234",
        "Ratio 0.0081.",
        "Cause: poor_initialization",
        "Use SELU in the hidden layers. It does not saturate & vanish. Géron, chapter 11",
    ):
        assert text in page.text
    assert "No findings" not in page.text


def test_both_colour_schemes_are_there(record, tmp_path):
    page = Page(write_report(record, [], tmp_path / "r.html"))
    assert ("content", "width=device-width, initial-scale=1") in page.attributes
    assert "prefers-color-scheme: dark" in page.source
    assert "--page:#ffffff" in page.source and "--page:#15181d" in page.source
    figures = page.source[page.source.index("<svg") :]
    assert "var(--ink)" in figures and "var(--depth-0)" in figures
    # Every colour of the figures follows the scheme.
    assert "#" not in "".join(v for n, v in page.attributes if n == "style").replace("url(#", "")


def test_names_are_escaped(tmp_path):
    names = ["<script>alert(1)</script>", 'a"b&c', "output"]
    record = record_of(np.ones((3, 3)), names=names, network={"name": "</title><b>"})
    page = Page(write_report(record, [Finding(evidence="<i>")], tmp_path / "r.html"))
    check_self_contained(page)
    assert names[0] in page.text and names[1] in page.text and "</title><b>" in page.text
    assert "</title><b>" not in page.source and "<i>" not in page.source
    page = Page(
        write_comparison(
            {"<u>": record}, tmp_path / "c.html", intro="<s>", title="<q>", table=[{"<k>": "<v>"}]
        )
    )
    for name in ("<u>", "<s>", "<q>", "<k>", "<v>"):
        assert name in page.text and name not in page.source


@pytest.mark.parametrize("network", [{}, {"name": None, "layers": None, "optimizer": None}])
def test_missing_descriptions_are_left_out(network, tmp_path):
    page = Page(write_report(record_of(np.ones((2, 3)), network=network), [], tmp_path / "r.html"))
    assert "Training of a network" in page.text and "None" not in page.text


@pytest.mark.parametrize("empty", [TrainingRecord(), record_of(np.empty((0, 3)))])
def test_an_empty_record_gives_a_page_that_says_so(empty, tmp_path):
    page = Page(write_report(empty, [], tmp_path / "r.html"))
    assert "No step's gradients were recorded." in page.text


@pytest.mark.parametrize("value", [np.nan, np.inf, 0.0])
def test_zeros_and_non_finite_values_are_shown(value, tmp_path):
    norms = np.ones((4, 3))
    norms[3] = value
    page = Page(write_report(record_of(norms), [], tmp_path / "r.html"))
    assert {np.inf: ">inf</td>", 0.0: ">0</td>"}.get(value, ">NaN</td>") in page.source
    assert ("non-finite at step 3" in page.text) == (not np.isfinite(value))


def test_200_layers_stay_below_a_megabyte(tmp_path):
    norms = np.random.default_rng(0).lognormal(size=(5_000, 200))
    path = write_report(record_of(norms), [], tmp_path / "r.html")
    assert path.stat().st_size < 1_000_000
    assert "hidden_199" in Page(path).text


def test_a_page_is_replaced_only_by_a_whole_one(record, tmp_path, monkeypatch):
    path = tmp_path / "r.html"
    path.write_text("before")

    def fail(self, target):
        raise OSError("disk full")

    monkeypatch.setattr("pathlib.Path.replace", fail)
    with pytest.raises(OSError, match="disk full"):
        write_report(record, [], path)
    assert path.read_text() == "before" and list(tmp_path.iterdir()) == [path]


def test_comparison_shows_the_table_and_a_section_for_each(record, tmp_path):
    runs = {"relu, He": record, "sigmoid": record_of(np.full((2, 3), 1e-9)), "x": TrainingRecord()}
    table = [
        {"network": "relu, He", "accuracy": 0.96875, "steps": 12_345},
        {"network": "sigmoid", "accuracy": float("nan"), "note": "stuck <at> chance"},
    ]
    page = Page(write_comparison(runs, tmp_path / "c.html", table=table, intro="Same data."))
    check_self_contained(page)
    for text in ("Same data.", "accuracy", "0.9688", "12,345", "NaN", "stuck <at> chance", "–"):
        assert text in page.text
    for name in runs:
        assert f"<summary>{name}</summary>" in page.source
    assert "Kernel gradient norm at the first step" in page.text


def test_comparison_of_nothing_is_refused(tmp_path):
    with pytest.raises(ValueError, match="at least one record"):
        write_comparison({}, tmp_path / "c.html")
