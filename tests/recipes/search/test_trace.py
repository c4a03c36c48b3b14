"""The trace of a search: rows, tables, JSON, and the figure's data."""

import dataclasses
import json
import math
import re
import subprocess
import sys
from itertools import pairwise

import numpy as np
import pytest

from trainwell.recipes.search._trace_labels import spread
from trainwell.recipes.search.stages import (
    BatchSizeStage,
    Candidate,
    Decision,
    EpochLosses,
    EpochsStage,
    L2Stage,
    LearningRateStage,
    Reason,
    Trial,
)
from trainwell.recipes.search.trace import SearchTrace, StageTrace, TraceRow


def losses_of(means):
    return tuple(EpochLosses(steps=100, mean=m, variance=0.0, roughness=0.0) for m in means)


def done(reasons, chosen, **settings):
    reasons = tuple(Reason(sentence=s, trials=tuple(ids)) for s, ids in reasons)
    return Decision(action="done", chosen=chosen, reasons=reasons, **settings)


def by_rate(rate, means=(), trial_id=None, **settings):
    return Trial(
        trial_id=trial_id or f"rate-{rate:g}",
        values={"learning_rate": rate, "l2": 0.0, "epochs": max(len(means), 1)},
        losses=losses_of(means),
        steps=100 * len(means),
        seconds=1.25,
        **settings,
    )


RATES = [
    by_rate(0.01, [2.0, 1.8, 1.6], accuracy=(0.3, 0.4, 0.5)),
    by_rate(0.1, [1.5, 1.0, 0.5], accuracy=(0.5, 0.7, 0.8)),
    by_rate(1.0, [3.0], diverged=True),
]
RATE_REASONS = [
    ("Try 0.01, 0.1, the first decades.", ["rate-0.01", "rate-0.1"]),
    ("At 1 training diverges.", ["rate-1"]),
    ("The threshold is 0.1.", ["rate-0.01", "rate-0.1", "rate-1"]),
]
RATE_STAGE = StageTrace(
    name="LearningRateStage",
    decision=done(RATE_REASONS, {"learning_rate": 0.05}),
    chosen_before={"batch_size": 32},
)


def strength(l2, accuracy, rate=0.05, execution=0, **settings):
    return Trial(
        trial_id=f"{l2:g}-{rate:g}-{execution}",
        values={"learning_rate": rate, "l2": l2, "epochs": 2},
        execution=execution,
        accuracy=(accuracy / 2, accuracy),
        validation_samples=10_000,
        **settings,
    )


def strength_trace(sign=1, **settings):
    trials = [
        strength(0.0, 0.94 * sign),
        strength(1e-5, 0.96 * sign),
        strength(1e-5, 0.98 * sign, execution=1),
        strength(1e-4, 0.95 * sign),
        strength(1e-3, sign * 0.1, diverged=True),
        strength(1e-5, 0.93 * sign, rate=0.1),
        strength(1e-5, 0.92 * sign, rate=0.025),
    ]
    reasons = [("Lambda is 1.", [trial.trial_id for trial in trials])]
    stage = StageTrace(
        name="L2Stage",
        decision=done(reasons, {"l2": 1e-5, "learning_rate": 0.05}),
        chosen_before={"learning_rate": 0.05},
        settings={"samples": 50_000},
    )
    return SearchTrace([stage], trials, maximize=sign > 0, **settings)


def line(figure, gid, at=None):
    """The x and y of the line with this name, in one of the axes or in any."""
    axes = figure.axes if at is None else [figure.axes[at]]
    found = [one for each in axes for one in each.lines if one.get_gid() == gid]
    assert len(found) == 1, gid
    return list(found[0].get_xdata()), list(found[0].get_ydata())


def ticks(axis):
    axis.figure.draw_without_rendering()
    low, high = sorted(axis.get_view_interval())
    return [t.label1.get_text() for t in axis.get_major_ticks() if low <= t.get_loc() <= high]


class Simulated:
    """A network that never was: its cost and accuracy are formulas."""

    def __init__(self):
        self.trials = []

    def train(self, candidate):
        values, name = candidate.values, f"{len(self.trials):04d}"
        rate, off = values["learning_rate"], math.log10(values["learning_rate"] / 0.3)
        own = {"trial_id": name, "values": values, "execution": candidate.execution}
        if rate > 5:
            return Trial(**own, diverged=True)
        floor, epochs = 0.2 * (1 + 0.5 * off**2), np.arange(1, values["epochs"] + 1)
        far = 3 if values["l2"] == 0 else abs(math.log10(values["l2"] / 1e-5))
        accuracy = 0.97 - 0.01 * far - 0.01 * abs(off) - 0.3 * np.exp(-epochs)
        accuracy = accuracy[: 8 + values.get("patience", 1000)]
        return Trial(
            **own,
            losses=losses_of((floor + 2 * np.exp(-epochs)).tolist()),
            accuracy=tuple(accuracy.tolist()),
            validation_samples=10_000,
            steps=len(accuracy) * 50_000 // values["batch_size"],
            examples=len(accuracy) * 50_000,
        )

    def search(self, *stages, **fixed):
        chosen, traces = {"batch_size": 32, **fixed}, []
        for stage in stages:
            before = dict(chosen)
            while (decision := stage.decide(self.trials, chosen)).action == "try":
                for candidate in decision.candidates:
                    self.trials.append(self.train(candidate))
            chosen |= decision.chosen
            traces.append(
                StageTrace(
                    name=type(stage).__name__,
                    decision=decision,
                    chosen_before=before,
                    settings=dataclasses.asdict(stage),
                )
            )
        return SearchTrace(traces, self.trials)


class Noisy(Simulated):
    """Each run ends a little higher or lower, and a penalty gains a lot."""

    def __init__(self, seed):
        super().__init__()
        self.generator = np.random.default_rng(seed)

    def train(self, candidate):
        trial = super().train(candidate)
        off = self.generator.normal(0, 0.006) + 0.04 * (candidate.values["l2"] > 0) - 0.05
        return dataclasses.replace(trial, accuracy=tuple(a + off for a in trial.accuracy))


def errors(figure, at):
    """Half the lengths of the error bars in one of the axes."""
    segments = figure.axes[at].collections[0].get_segments()
    return [float(segment[1, 1] - segment[0, 1]) / 2 for segment in segments]


def sentence_of(trace, start):
    found = [row.sentence for row in trace if row.sentence.startswith(start)]
    assert len(found) == 1, start
    return found[0]


@pytest.fixture(scope="module")
def whole():
    return Simulated().search(
        LearningRateStage(),
        L2Stage(samples=50_000),
        BatchSizeStage(step_cost=1e-3, example_cost=1e-5),
        EpochsStage(limit=40),
    )


class TestRows:
    def test_notes_then_every_reason_with_its_trials(self):
        trace = SearchTrace([RATE_STAGE], RATES, notes=["`dropout` stays as it is."])
        assert trace.rows == tuple(trace) == (
            TraceRow(stage="Note", sentence="`dropout` stays as it is."),
            *(
                TraceRow(stage="LearningRateStage", sentence=sentence, trials=tuple(ids))
                for sentence, ids in RATE_REASONS
            ),
        )  # fmt: skip
        assert len(trace) == 4

    def test_a_simulated_search(self, whole):
        stages = [stage.name for stage in whole.stages]
        assert stages == ["LearningRateStage", "L2Stage", "BatchSizeStage", "EpochsStage"]
        assert len(whole) == sum(len(stage.decision.reasons) for stage in whole.stages)
        assert whole.rows[0].sentence == "Try 0.01, 0.1, the first decades."
        assert whole.rows[0].trials == ("0000", "0001")
        assert whole.rows[-1].sentence == whole.stages[-1].decision.reason
        assert all(name in whole.trials for row in whole for name in row.trials)

    def test_chosen_is_what_stages_decided_not_what_they_began_with(self, whole):
        assert SearchTrace([RATE_STAGE], RATES).chosen == {"learning_rate": 0.05}
        last = {**whole.stages[-1].chosen_before, **whole.stages[-1].decision.chosen}
        assert whole.chosen == last
        assert set(last) == {"learning_rate", "l2", "batch_size", "epochs"}
        assert SearchTrace([], []).chosen == {}

    def test_chosen_is_the_latest_of_the_stages_that_are_done(self):
        later = StageTrace(name="L2Stage", decision=done([], {"l2": 0.1, "learning_rate": 0.2}))
        assert SearchTrace([RATE_STAGE, later], RATES).chosen == {"learning_rate": 0.2, "l2": 0.1}
        failed = Decision(action="failed", reasons=(Reason(sentence="None works."),))
        stage = StageTrace(name="X", decision=failed, chosen_before={"patience": 30})
        assert SearchTrace([RATE_STAGE, stage], RATES).chosen == {"learning_rate": 0.05}

    def test_the_trials_of_a_stage(self):
        pending = by_rate(0.3, finished=False, trial_id="pending")
        stranger = strength(1e-5, 0.9)
        asks = Decision(
            action="try",
            candidates=(Candidate(values=pending.values),),
            reasons=(Reason(sentence="Try 0.3.", trials=("rate-0.01",)),),
        )
        stage = StageTrace(name="LearningRateStage", decision=asks)
        trace = SearchTrace([stage], [stranger, pending, *RATES])
        assert [trial.trial_id for trial in trace.trials_of(stage)] == ["pending", "rate-0.01"]
        # What another stage rests on is not taken, whatever its values.
        other = StageTrace(name="L2Stage", decision=done([("Lambda is 0.", ["pending"])], {}))
        trace = SearchTrace([stage, other], [pending, *RATES])
        assert [trial.trial_id for trial in trace.trials_of(stage)] == ["rate-0.01"]

    def test_trials_are_sorted_by_number(self):
        trials = [Trial(trial_id=name, values={}) for name in ("10000", "0002", "9999")]
        assert list(SearchTrace([], trials).trials) == ["0002", "9999", "10000"]

    def test_an_id_twice(self):
        with pytest.raises(ValueError, match=r"id of its own. Received: .*\['rate-1'\]"):
            SearchTrace([RATE_STAGE], [*RATES, RATES[-1]])


HEAD = "Decision                                                    Trials"


class TestText:
    def test_by_hand(self):
        trace = SearchTrace([RATE_STAGE], RATES)
        assert trace.to_text(80).splitlines() == [
            HEAD,
            "-" * 80,
            "LearningRateStage",
            "  Try 0.01, 0.1, the first decades.                         rate-0.01, rate-0.1",
            "  At 1 training diverges.                                   rate-1",
            "  The threshold is 0.1.                                     rate-0.01, rate-0.1,",
            "                                                            rate-1",
            "",
            "Chosen: learning_rate=0.05",
            "",
            "Best: the highest val_accuracy.",
            "",
            "Trial      Epochs  First cost  Last cost  Best  Steps  Seconds  Ended",
            "-" * 80,
            "rate-1          1           3          3     –    100      1.2  diverged",
            "    learning_rate=1, l2=0, epochs=1",
            "rate-0.1        3         1.5        0.5   0.8    300      1.2  complete",
            "    learning_rate=0.1, l2=0, epochs=3",
            "rate-0.01       3           2        1.6   0.5    300      1.2  complete",
            "    learning_rate=0.01, l2=0, epochs=3",
        ]

    @pytest.mark.parametrize("width", [80, 100, 120, 200])
    def test_fits_the_width_and_loses_nothing(self, whole, width):
        text = whole.to_text(width)
        assert max(map(len, text.splitlines())) <= width
        for row in whole:
            assert row.sentence.split()[0] in text
        words = " ".join(text.split())
        assert all(name in words for name in whole.trials)

    def test_long_names_keep_the_width(self):
        name = "a-long-name-of-a-trial" * 5
        trial = Trial(trial_id=name, values={"optimizer": "x" * 90}, steps=10**6, seconds=1e5)
        stage = StageTrace(name="Own", decision=done([("Because.", [name])], {"way": "y" * 100}))
        text = SearchTrace([stage], [trial], objective="val_" + "z" * 90).to_text(80)
        assert max(map(len, text.splitlines())) <= 80

    def test_values_stand_beside_the_numbers_where_there_is_room(self):
        trace = SearchTrace([RATE_STAGE], RATES)
        assert trace.to_text(120).splitlines()[-1].endswith("learning_rate=0.01, l2=0, epochs=3")
        assert "Ended     Values" in trace.to_text(120)

    def test_the_terminals_width(self, monkeypatch):
        trace = SearchTrace([RATE_STAGE], RATES)
        monkeypatch.setenv("COLUMNS", "132")
        assert str(trace) == trace.to_text(132)
        monkeypatch.setenv("COLUMNS", "20")
        assert str(trace) == trace.to_text(80)

    def test_how_a_trial_ended(self):
        trials = [
            Trial(trial_id="a", values={"epochs": 3}, finished=False),
            Trial(trial_id="b", values={"epochs": 3}, accuracy=(0.5, 0.6)),
            Trial(trial_id="c", values={"epochs": 2}, accuracy=(0.5, 0.6), execution=1),
            Trial(trial_id="d", values={}, diverged=True),
        ]
        lines = SearchTrace([], trials).to_text(80).splitlines()
        last = {text[0]: text.split()[-1] for text in lines if text[:1] in set("abcd")}
        assert last == {"a": "running", "b": "early", "c": "complete", "d": "diverged"}
        assert "    epochs=2, execution=1" in lines
        assert lines[0] == "No decision yet."

    def test_an_objective_that_falls(self):
        trial = Trial(trial_id="a", values={}, accuracy=(-0.5, -0.25, -0.375))
        lines = SearchTrace([], [trial], objective="val_loss", maximize=False).to_text(80)
        assert "Best: the lowest val_loss." in lines
        assert " 0.25 " in lines and "-0.25" not in lines

    def test_what_scores_are_is_said_once_and_first(self):
        trace = SearchTrace([RATE_STAGE], RATES, objective="val_loss", maximize=False)
        said = "In the decisions scores are the negative val_loss: higher is better."
        assert trace.to_text(80).splitlines()[:3] == [said, "", HEAD]
        assert trace.to_text(80).count("negative") == 1
        assert "negative" not in SearchTrace([RATE_STAGE], RATES).to_text(80)

    def test_a_search_under_way_says_so(self):
        asks = LearningRateStage().decide([])
        stage = StageTrace(name="LearningRateStage", decision=asks, chosen_before={"batch_size": 8})
        assert "\nChosen so far: nothing yet" in SearchTrace([stage], []).to_text(80)
        both = SearchTrace([RATE_STAGE, dataclasses.replace(stage, name="2")], RATES)
        assert "\nChosen so far: learning_rate=0.05\n" in both.to_text(80)
        assert SearchTrace([], []).to_text(80).endswith("\nChosen so far: nothing yet")

    def test_a_search_that_had_nothing_to_choose(self):
        stage = StageTrace(name="FinalFit", decision=done([("It is over.", [])], {}))
        assert SearchTrace([stage], []).to_text(80).endswith("\nChosen: nothing")

    def test_notes_stand_before_the_stages(self, monkeypatch):
        monkeypatch.setenv("COLUMNS", "80")
        notes = ["The model reads no `l2`: L2Stage is left out.", "a word and another " * 8, ""]
        lines = str(SearchTrace([RATE_STAGE], RATES, notes=notes)).splitlines()
        assert [line.rstrip() for line in lines[:8]] == [
            HEAD,
            "-" * 80,
            "Note",
            "  The model reads no `l2`: L2Stage is left out.",
            "  a word and another a word and another a word and another",
            "  a word and another a word and another a word and another",
            "  a word and another a word and another",
            "LearningRateStage",
        ]
        alone = str(SearchTrace([], [], notes=notes[:1])).splitlines()
        assert alone[2:4] == ["Note", "  The model reads no `l2`: L2Stage is left out."]
        assert "No decision yet." not in alone


class TestData:
    def test_json_there_and_back(self, whole):
        bad = Trial(
            trial_id="bad", values={"l2": 0.0}, losses=losses_of([math.nan]), accuracy=(math.inf,)
        )
        trace = SearchTrace(
            whole.stages, [*whole.trials.values(), bad], objective="val_loss", maximize=False,
            notes=["A note."],
        )  # fmt: skip
        text = json.dumps(trace.to_json(), allow_nan=False)
        loaded = SearchTrace.from_json(json.loads(text))
        assert json.dumps(loaded.to_json(), allow_nan=False) == text
        assert (loaded.rows, loaded.chosen) == (trace.rows, trace.chosen)
        assert (loaded.objective, loaded.maximize) == ("val_loss", False)
        assert loaded.to_text(100) == trace.to_text(100).replace("inf", "nan")
        assert len(loaded.plot().axes) == len(trace.plot().axes) == 6

    def test_numpy_numbers_become_json(self):
        stage = dataclasses.replace(RATE_STAGE, chosen_before={"batch_size": np.int64(32)})
        json.dumps(SearchTrace([stage], RATES).to_json(), allow_nan=False)

    def test_frames(self):
        pytest.importorskip("pandas")
        trace = SearchTrace([RATE_STAGE], RATES)
        decisions = trace.to_frame()
        assert decisions.columns.tolist() == ["stage", "sentence", "trials"]
        assert decisions.sentence.tolist() == [sentence for sentence, _ in RATE_REASONS]
        trials = trace.to_frame("trials")
        assert trials.loc["rate-0.1", "learning_rate"] == 0.1
        assert trials.loc["rate-0.1", ["first_cost", "last_cost"]].tolist() == [1.5, 0.5]
        assert trials.loc["rate-0.1", "best_val_accuracy"] == 0.8
        assert trials.loc["rate-1", "ended"] == "diverged"
        with pytest.raises(ValueError, match=r"must be 'decisions' or 'trials'.*table='x'"):
            trace.to_frame("x")

    def test_repr(self):
        assert repr(SearchTrace([RATE_STAGE], RATES)) == (
            "SearchTrace(1 stages, 3 decisions, 3 trials, chosen={'learning_rate': 0.05})"
        )


class TestPlotOfRates:
    def test_costs_side_by_side(self):
        figure = SearchTrace([RATE_STAGE], RATES).plot()
        assert len(figure.axes) == 2
        assert line(figure, "rate 0.01", 0) == ([1, 2, 3], [2.0, 1.8, 1.6])
        assert line(figure, "rate 0.1", 0) == ([1, 2, 3], [1.5, 1.0, 0.5])
        names = [text.get_text() for text in figure.axes[0].texts]
        assert names == ["0.01", "0.1 threshold", "1 diverged"]
        assert figure.axes[0].get_title(loc="left") == "Learning rate: 0.05"
        # The run that diverged leaves the axes.
        assert figure.axes[0].get_ylim()[1] < 3.0

    def test_the_last_cost_with_threshold_and_choice(self):
        figure = SearchTrace([RATE_STAGE], RATES).plot()
        assert line(figure, "rate 0.1", 1) == ([0.1], [0.5])
        assert line(figure, "choice", 1)[0] == [0.05, 0.05]
        assert line(figure, "threshold", 1)[0] == [0.1, 0.1]
        assert line(figure, "diverged", 1)[0] == [1.0]
        assert figure.axes[1].get_xscale() == "log"

    def test_the_runs_of_a_rate_are_averaged(self):
        again = by_rate(0.1, [1.7, 1.2, 0.7], trial_id="again", execution=1)
        reasons = [*RATE_REASONS, ("Again.", ["again"])]
        stage = dataclasses.replace(RATE_STAGE, decision=done(reasons, {"learning_rate": 0.05}))
        figure = SearchTrace([stage], [*RATES, again]).plot()
        assert line(figure, "rate 0.1", 0)[1] == pytest.approx([1.6, 1.1, 0.6])
        runs = [one for one in figure.axes[0].lines if one.get_gid() == "run of 0.1"]
        assert len(runs) == 2
        assert len(figure.axes[0].texts) == 3

    def test_costs_over_decades_take_a_log_axis(self):
        trials = [by_rate(0.01, [100.0, 10.0, 0.1]), by_rate(0.1, [90.0, 1.0, 0.01])]
        stage = StageTrace(
            name="LearningRateStage",
            decision=done([("x", ["rate-0.01", "rate-0.1"])], {"learning_rate": 0.05}),
        )
        assert SearchTrace([stage], trials).plot().axes[0].get_yscale() == "log"

    @pytest.mark.parametrize("count", [2, 6, 12, 16])
    def test_names_do_not_overlap(self, count):
        # All within a hair's breadth of each other at the end.
        rates = np.geomspace(1e-4, 1, count).round(6).tolist()
        trials = [by_rate(r, [2.0, 1.0, 0.5 + i / 1000]) for i, r in enumerate(rates)]
        reasons = [("x", [trial.trial_id for trial in trials])]
        stage = StageTrace(name="LearningRateStage", decision=done(reasons, {"learning_rate": 0.1}))
        figure = SearchTrace([stage], trials).plot()
        figure.draw_without_rendering()
        boxes = [super(type(t), t).get_window_extent() for t in figure.axes[0].texts]
        assert len(boxes) == count
        boxes.sort(key=lambda box: box.y0)
        assert all(above.y0 >= below.y1 for below, above in pairwise(boxes))
        assert all(box.y0 >= 0 and box.y1 <= figure.bbox.height for box in boxes)


class TestPlotOfStrengths:
    def test_accuracy_over_lambda_with_0_at_the_left(self):
        figure = strength_trace().plot()
        x, y = line(figure, "means", 0)
        # lambda = 2 * 50,000 * l2; two executions at 1.
        assert x == pytest.approx([0, 1, 10])
        assert y == pytest.approx([0.94, 0.97, 0.95])
        assert line(figure, "executions", 0)[1] == [0.96, 0.98]
        axes = figure.axes[0]
        assert axes.get_xscale() == "symlog"
        assert ticks(axes.xaxis) == ["0", "1", "10", "100"]
        assert axes.get_xlim()[0] < 0
        assert axes.get_title(loc="left") == "L2: lambda 1"

    def test_a_standard_error_each_way(self):
        figure = strength_trace().plot()
        # 0.96 and 0.98 at 1 have a variance of 0.0002, which is every setting's; the binomial one
        # is less: 0.94 * 0.06 / 10,000 = 0.0000056.
        once, twice = math.sqrt(0.0002), math.sqrt(0.0002 / 2)
        assert errors(figure, 0) == pytest.approx([once, twice, once])
        trials = [strength(0.0, 0.94), strength(1e-5, 0.96)]
        alone = SearchTrace(strength_trace().stages, trials).plot()
        expected = [math.sqrt(0.94 * 0.06 / 10_000), math.sqrt(0.96 * 0.04 / 10_000)]
        assert errors(alone, 0) == pytest.approx(expected)

    def test_a_repetition_counts_where_the_stage_counted_it(self):
        """The strength was clear after one run, which the rates were then compared with."""
        none, found = strength(0.0, 0.9), strength(1e-5, 0.96)
        again, faster = strength(1e-5, 0.98, execution=1), strength(1e-5, 0.95, rate=0.1)
        reasons = [
            ("By validation accuracy.", [none, found]),
            ("The rate once more.", [found]),
            ("Try rates of 0.1.", [faster]),
            ("Run again.", [again]),
            ("The rate is 0.05.", [found, again, faster]),
        ]
        named = [(sentence, [trial.trial_id for trial in of]) for sentence, of in reasons]
        stage = dataclasses.replace(
            strength_trace().stages[0], decision=done(named, {"l2": 1e-5, "learning_rate": 0.05})
        )
        figure = SearchTrace([stage], [none, found, again, faster]).plot()
        assert line(figure, "means", 0)[1] == pytest.approx([0.9, 0.96])
        assert errors(figure, 0)[1] == pytest.approx(math.sqrt(0.96 * 0.04 / 10_000))
        assert line(figure, "means", 1) == ([0.05, 0.1], pytest.approx([0.97, 0.95]))
        assert errors(figure, 1) == pytest.approx([0.01, math.sqrt(0.0002)])

    def test_the_errors_are_those_of_the_sentences(self):
        repeated = 0
        for seed in range(12):
            trace = Noisy(seed).search(L2Stage(samples=50_000), learning_rate=0.3)
            figure = trace.plot()
            starts = ["By validation accuracy", "With the penalty"]
            for at, start in enumerate(starts[: len(figure.axes)]):
                said = sentence_of(trace, start)
                found = re.findall(r"([-.\de]+): ([.\d]+) ± ([.\d]+)", said)
                x, means = line(figure, "means", at)
                drawn = zip(x, means, errors(figure, at), strict=True)
                assert [(f"{a:g}", f"{b:.4f}", f"{c:.4f}") for a, b, c in drawn] == found
                repeated += at == 1 and len({error for *_, error in found}) > 1
        # The rates were run again, too, at the strength that both comparisons share.
        assert repeated > 0

    def test_the_choice_and_what_diverged(self):
        figure = strength_trace().plot()
        assert line(figure, "chosen", 0) == (
            [pytest.approx(1.0)], [pytest.approx(0.97)],
        )  # fmt: skip
        assert line(figure, "diverged", 0)[0] == pytest.approx([100])

    def test_the_rate_once_more(self):
        figure = strength_trace().plot()
        x, y = line(figure, "means", 1)
        assert x == [0.025, 0.05, 0.1]
        assert y == pytest.approx([0.92, 0.97, 0.93])
        assert line(figure, "chosen", 1)[0] == [0.05]

    def test_in_keras_units_without_samples(self):
        trace = strength_trace()
        stage = dataclasses.replace(trace.stages[0], settings={"samples": None})
        figure = SearchTrace([stage], list(trace.trials.values())).plot()
        assert line(figure, "means", 0)[0] == [0.0, 1e-5, 1e-4]
        assert figure.axes[0].get_xlabel() == "l2"

    def test_an_objective_that_falls_has_its_true_sign(self):
        figure = strength_trace(sign=-1, objective="val_loss").plot()
        # The better half of each run is its first epoch's.
        assert line(figure, "means", 0)[1] == pytest.approx([0.47, 0.485, 0.475])
        assert line(figure, "diverged", 0)[1] == [0.95]
        assert figure.axes[0].get_ylabel() == "val_loss"


class TestPlotOfCurves:
    def test_batch_sizes_over_their_cost(self):
        trials = [
            Trial(
                trial_id=str(size),
                values={"batch_size": size, "epochs": 2},
                accuracy=(0.5, 0.9),
                validation_samples=100,
                steps=1000 // size,
                examples=1000,
            )
            for size in (10, 20)
        ]
        stage = StageTrace(
            name="BatchSizeStage",
            decision=done([("x", ["10", "20"])], {"batch_size": 20}),
            settings={"step_cost": 1.0, "example_cost": 0.01},
        )
        figure = SearchTrace([stage], trials).plot()
        # 100 steps and 1,000 examples: 110 at the end, half of it after the first of two epochs.
        assert line(figure, "10") == (pytest.approx([55, 110]), [0.5, 0.9])
        assert line(figure, "20") == (pytest.approx([30, 60]), [0.5, 0.9])
        # Two standard errors of 0.03 below the best.
        assert line(figure, "target")[1] == pytest.approx([0.84, 0.84])
        assert line(figure, "reached 20") == (pytest.approx([60]), [0.9])
        in_steps = SearchTrace([dataclasses.replace(stage, settings={})], trials).plot()
        assert line(in_steps, "10")[0] == pytest.approx([50, 100])
        assert in_steps.axes[0].get_xlabel() == "training steps"

    def test_epochs_with_the_chosen_one_of_the_run_decided_by(self):
        # The later best one is within noise of the second.
        trials = [
            Trial(trial_id="a", values={"patience": 10}, accuracy=(0.1, 0.8, 0.7, 0.81)),
            Trial(trial_id="b", values={"patience": 20}, accuracy=(0.1, 0.7, 0.7, 0.81)),
        ]
        reasons = [("No more than noise.", ["a", "b"]), ("Best after 2.", ["a"])]
        stage = StageTrace(name="EpochsStage", decision=done(reasons, {"epochs": 2}))
        figure = SearchTrace([stage], trials).plot()
        assert line(figure, "patience 10") == ([1, 2, 3, 4], [0.1, 0.8, 0.7, 0.81])
        assert line(figure, "best") == ([2], [0.8])
        assert figure.axes[0].get_title(loc="left") == "Epochs: 2"
        failed = Decision(action="failed", reasons=stage.decision.reasons)
        figure = SearchTrace([dataclasses.replace(stage, decision=failed)], trials).plot()
        assert line(figure, "best") == ([4], [0.81])
        assert figure.axes[0].get_title(loc="left") == "Epochs: best 0.8100 after 4"

    @pytest.mark.parametrize("name", ["final fit", "FinalFit", "A stage of one's own"])
    def test_the_final_fit_and_stages_unknown(self, name):
        trial = Trial(trial_id="f", values={"epochs": 3}, accuracy=(-0.5, -0.2, -0.3))
        stage = StageTrace(name=name, decision=done([("x", ["f"])], {}))
        figure = SearchTrace([stage], [trial], objective="val_loss", maximize=False).plot()
        assert line(figure, "best") == ([2], [0.2])

    @staticmethod
    def one_fit(accuracy, sign=1, **settings):
        trial = Trial(trial_id="f", values={}, accuracy=tuple(accuracy), **settings)
        stage = StageTrace(name="FinalFit", decision=done([("x", ["f"])], {}))
        return SearchTrace([stage], [trial], maximize=sign > 0).plot().axes[0]

    def test_a_single_run_has_no_name_and_no_line_to_one(self):
        assert not self.one_fit([0.5, 0.6, 0.7]).texts
        running = self.one_fit([0.5, 0.6, 0.7], finished=False)
        assert [text.get_text() for text in running.texts] == ["running"]

    def test_all_epochs_are_shown_where_the_rest_stays_readable(self):
        axes = self.one_fit([0.5, 0.6, 0.9, 0.8, 1.0])
        # 8 % of 0.5 to 1 at each end.
        assert axes.get_ylim() == pytest.approx((0.46, 1.04))

    def test_first_epochs_that_press_the_rest_flat_leave_the_axes(self):
        late = [0.9 + 0.001 * i for i in range(20)]
        axes = self.one_fit([0.1, 0.5, *late])
        # The 10 % quantile of 22 epochs: a tenth of the way from the 3rd to the 4th lowest.
        usual, best = 0.9001, 0.919
        margin = 0.08 * (best - usual)
        assert axes.get_ylim() == pytest.approx((usual - margin, best + margin))
        # Once above the edge the curve stays above it.
        heights = next(one.get_ydata() for one in axes.lines if len(one.get_ydata()) == 22)
        assert np.count_nonzero(np.diff(heights > usual - margin)) == 1
        turned = self.one_fit([-a for a in [0.1, 0.5, *late]][::-1], sign=-1)
        assert turned.get_ylim()[0] == pytest.approx(0.1 - 0.08 * 0.819)

    def test_equal_accuracies_have_an_axis(self):
        assert self.one_fit([0.5, 0.5]).get_ylim() == pytest.approx((0.496, 0.504))

    @staticmethod
    def names(trials):
        stage = StageTrace(name="EpochsStage", decision=done([("x", [])], {}))
        named = done([("x", [trial.trial_id for trial in trials])], {})
        figure = SearchTrace([dataclasses.replace(stage, decision=named)], trials).plot()
        figure.draw_without_rendering()
        texts = figure.axes[0].texts
        boxes = [super(type(text), text).get_window_extent() for text in texts]
        assert all(box.x1 <= figure.bbox.width for box in boxes)
        return [text.get_text() for text in texts]

    def test_names_tell_the_runs_apart_and_no_more(self):
        def run(epochs, patience, execution=0):
            values = {"epochs": epochs, "patience": patience}
            name = f"{epochs} {patience} {execution}"
            accuracy = (0.1, 0.8, 0.7 + patience / 100)
            return Trial(trial_id=name, values=values, execution=execution, accuracy=accuracy)

        assert self.names([run(80, 10), run(80, 10, 1), run(80, 20)]) == [
            "patience 10", "patience 10, execution 1", "patience 20",
        ]  # fmt: skip
        assert self.names([run(40, 10), run(80, 10, 1)]) == ["epochs 40", "epochs 80"]
        assert self.names([run(80, 10), run(80, 10, 1)]) == ["execution 1"]
        longest = "epochs 80, patience 10, execution 1"
        names = self.names([run(40, 20), run(80, 10), run(80, 10, 1)])
        assert names == ["epochs 40, patience 20", "epochs 80, patience 10", longest]

    def test_the_target_is_the_stages_where_repetitions_tell_the_noise(self):
        def run(size, *accuracy, execution=0):
            values = {"batch_size": size}
            own = {"steps": 100 // size, "examples": 100}
            name = f"{size} {execution}"
            return Trial(
                trial_id=name, values=values, execution=execution, accuracy=accuracy, **own
            )

        trials = [run(10, 1.0, 3.0), run(10, 1.0, 5.0, execution=1), run(20, 2.0, 2.5)]
        reasons = [("x", [trial.trial_id for trial in trials])]
        stage = StageTrace(name="BatchSizeStage", decision=done(reasons, {"batch_size": 20}))
        figure = SearchTrace([stage], trials, objective="score").plot()
        # Mean 4 and variance 2 of two runs: 4 - 2 * 1. What isn't the first run marks nothing.
        assert line(figure, "target")[1] == pytest.approx([2, 2])
        assert line(figure, "reached 10") == (pytest.approx([10]), [3.0])
        assert line(figure, "reached 20") == (pytest.approx([2.5]), [2.0])
        # The repetition is drawn, and has no name of its own.
        assert line(figure, "run of 10") == (pytest.approx([5, 10]), [1.0, 5.0])
        names = [text.get_text() for text in figure.axes[0].texts]
        assert names == ["10", "20", "target 2.0000"]


class TestWholeFigure:
    def test_a_row_for_each_stage(self, whole):
        titles = [axes.get_title(loc="left") for axes in whole.plot().axes]
        starts = ["Learning rate: ", "The last", "L2: ", "The rate", "Batch size: ", "Epochs: "]
        assert [t[: len(s)] for t, s in zip(titles, starts, strict=True)] == starts

    @pytest.mark.parametrize(
        ("stages", "trials"),
        [
            ([], []),
            ([RATE_STAGE], []),
            ([RATE_STAGE], RATES[:1]),
            ([RATE_STAGE], RATES[2:]),
            ([RATE_STAGE], [dataclasses.replace(RATES[0], losses=(), finished=False)]),
            (strength_trace().stages, [strength(0.0, 0.9)]),
            (strength_trace().stages, [strength(1e-3, 0.9, diverged=True)]),
            (strength_trace().stages, [Trial(trial_id="0-0.05-0", values={"l2": 0.0})]),
        ],
        ids=["none", "no-trials", "one", "diverged", "running", "no-penalty", "l2-diverged", "odd"],
    )
    def test_little_or_nothing_to_draw(self, stages, trials):
        trace = SearchTrace(stages, trials)
        trace.plot().draw_without_rendering()
        trace.to_text(80)

    def test_all_rates_diverged(self):
        trials = [by_rate(r, [math.nan], diverged=True) for r in (0.01, 0.1)]
        failed = LearningRateStage().decide([])
        decision = dataclasses.replace(
            failed, action="failed", candidates=(),
            reasons=(Reason(sentence="None works.", trials=("rate-0.01", "rate-0.1")),),
        )  # fmt: skip
        stage = StageTrace(name="LearningRateStage 2", decision=decision)
        figure = SearchTrace([stage], trials).plot()
        assert figure.axes[0].get_title(loc="left") == "Learning rate: none works"
        assert line(figure, "diverged", 1)[0] == [0.01, 0.1]


def test_a_trace_is_read_without_tensorflow_and_drawn_with_matplotlib_alone():
    code = (
        "import sys; from trainwell.recipes.search.trace import SearchTrace as T; t = T([], []);"
        "str(t); print('matplotlib' in sys.modules); t.plot();"
        "print({'tensorflow', 'keras', 'keras_tuner'} & set(sys.modules))"
    )
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert ran.stdout.split("\n")[:2] == ["False", "set()"]


class TestSpread:
    def test_by_hand(self):
        assert spread(np.array([0.2, 0.8]), 0.1).tolist() == pytest.approx([0.2, 0.8])
        # Around their mean, in their order.
        assert spread(np.array([0.52, 0.48]), 0.1).tolist() == pytest.approx([0.55, 0.45])
        assert spread(np.array([0.5, 0.5, 0.5]), 0.1).tolist() == pytest.approx([0.4, 0.5, 0.6])
        # Not beyond the edges.
        assert spread(np.array([1.0, 1.0]), 0.2).tolist() == pytest.approx([0.8, 1.0])
        # Without room for all they are still apart.
        assert np.diff(spread(np.zeros(5), 0.5)).tolist() == pytest.approx([0.5] * 4)

    def test_nearest_to_the_wanted_places(self):
        """An independent solution of the same least squares, by projected gradient steps."""
        generator = np.random.default_rng(0)
        wanted = np.sort(generator.uniform(0.3, 0.7, 6))
        gap, dual = 0.05, np.zeros(5)
        for _ in range(20_000):
            places = wanted - np.diff(dual, prepend=0, append=0)
            dual = np.maximum(0, dual + 0.2 * (gap - np.diff(places)))
        assert spread(wanted, gap) == pytest.approx(places, abs=1e-4)
