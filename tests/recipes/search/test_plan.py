"""The stages one after another, without any training."""

import pytest

from trainwell.recipes.search._plan import Plan, seed_of
from trainwell.recipes.search.stages import (
    BatchSizeStage,
    Decision,
    L2Stage,
    LearningRateStage,
    Reason,
    Trial,
)

READS = {"learning_rate": 0.5, "l2": 0.25, "batch_size": 16}


class Settles:
    """A stage that is done at once, with what it was made of."""

    def __init__(self, **chosen):
        self.chosen = chosen

    def decide(self, trials, chosen=None):
        return Decision(action="done", chosen=self.chosen, reasons=(Reason(sentence="so"),))


def test_a_stage_gets_what_those_before_it_chose():
    plan = Plan([Settles(learning_rate=0.1), L2Stage(epochs=3)])
    way = plan.way({}, READS)
    assert [station.name for station in way.stations] == ["Settles", "L2Stage"]
    assert way.last.before == {"learning_rate": 0.1, "batch_size": 16}
    values = way.last.decision.candidates[0].values
    assert values == {"learning_rate": 0.1, "batch_size": 16, "l2": 0.0, "epochs": 3}


def test_values_that_no_stage_finds_stay_what_the_model_reads():
    way = Plan([LearningRateStage()]).way({}, READS)
    assert way.last.before == {"l2": 0.25, "batch_size": 16}


def test_a_stage_whose_value_is_not_read_is_left_out_and_said_so():
    way = Plan([LearningRateStage(), L2Stage()]).way({}, {"l2": 0.0})
    assert [station.name for station in way.stations] == ["L2Stage"]
    assert way.notes == ["The model reads no `learning_rate`: LearningRateStage is left out."]


def test_after_the_stages_comes_the_final_fit_at_their_values():
    way = Plan([Settles(learning_rate=0.1, epochs=12)]).way({}, READS)
    (candidate,) = way.last.decision.candidates
    assert way.last.name == "FinalFit"
    assert candidate.values["learning_rate"] == 0.1
    assert candidate.values["l2"] == 0.25
    assert candidate.values["patience"] == 30
    assert candidate.values["variable_rate"] is True


def test_a_finished_final_fit_ends_the_search():
    plan = Plan([Settles(learning_rate=0.1)])
    (candidate,) = plan.way({}, READS).last.decision.candidates
    trial = Trial(trial_id="7", values=candidate.values, accuracy=(0.5, 0.875))
    way = plan.way({"FinalFit": [trial]}, READS)
    assert way.last.decision.action == "done"
    assert way.last.decision.reason == "The final fit reaches 0.8750 after 2 epochs."


def test_two_stages_of_a_kind_have_names_of_their_own():
    assert list(Plan([L2Stage(), L2Stage()]).stages) == ["L2Stage", "L2Stage 2", "FinalFit"]


def test_the_batch_stage_needs_a_learning_rate_too():
    stage = BatchSizeStage(step_cost=1.0, example_cost=0.1)
    way = Plan([stage]).way({}, {"batch_size": 16})
    assert way.notes == ["The model reads no `learning_rate`: BatchSizeStage is left out."]


@pytest.mark.parametrize(
    "other",
    [
        (1, "L2Stage", {"l2": 0.1}, 0),
        (0, "LearningRateStage", {"l2": 0.1}, 0),
        (0, "L2Stage", {"l2": 0.2}, 0),
        (0, "L2Stage", {"l2": 0.1}, 1),
    ],
)
def test_a_seed_hangs_on_search_stage_values_and_execution(other):
    own = seed_of(0, "L2Stage", {"l2": 0.1, "epochs": 3}, 0)
    assert own == seed_of(0, "L2Stage", {"epochs": 3, "l2": 0.1}, 0)
    assert 0 <= own < 2**31
    assert own != seed_of(other[0], other[1], {"epochs": 3, **other[2]}, other[3])


def test_what_stands_is_told_to_a_stage_and_not_said_to_be_chosen():
    way = Plan([L2Stage()]).way({}, READS)
    assert way.last.before == {"learning_rate": 0.5, "batch_size": 16}
    assert way.chosen == {}
    assert way.notes == ["The learning rate is not searched before L2Stage: it stands at 0.5."]


def test_rates_stay_within_what_the_model_declares():
    way = Plan([LearningRateStage()]).way({}, READS, {"learning_rate": (0.05, 0.2)})
    rates = [c.values["learning_rate"] for c in way.last.decision.candidates]
    assert rates == [0.05]
    assert way.notes == ["LearningRateStage stays within 0.05 to 0.2, which the model declares."]


def test_a_value_that_is_fixed_is_not_searched():
    way = Plan([LearningRateStage()]).way({}, READS, {"learning_rate": (0.1, 0.1)})
    assert way.last.name == "FinalFit"
    assert way.notes == [
        "The model has `learning_rate` fixed at 0.1: LearningRateStage is left out."
    ]


def test_a_stage_that_answers_with_no_decision_is_named():
    class Silent:
        def decide(self, trials, chosen=None):
            return None

    with pytest.raises(ValueError, match=r"search\.Decision.*Received: None from Silent"):
        Plan([Silent()]).way({}, READS)
