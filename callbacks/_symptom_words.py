"""Each symptom for someone who never heard of it: a title, and what it means."""

SYMPTOM_WORDS: dict[str, tuple[str, str]] = {
    "vanishing_gradient": (
        "The first layers hardly learn (vanishing gradient)",
        "Training corrects each layer by a signal, the gradient, that is passed back from the "
        "output. Here each layer passes on only a part of it, so that next to nothing reaches the "
        "first ones: they stay as random as they began.",
    ),
    "exploding_gradient": (
        "The corrections grow out of bounds (exploding gradient)",
        "Training corrects each layer by a signal, the gradient, that is passed back from the "
        "output. Here it grows until a single step throws the weights far off.",
    ),
    "dying_relu": (
        "Units that never fire (dead ReLUs)",
        "A ReLU unit passes on what is above 0 and nothing else. These are below 0 for every "
        "sample: they give 0, get no correction, and cannot come back by themselves.",
    ),
    "saturated_activation": (
        "Units stuck at their limit (saturation)",
        "A sigmoid or tanh is flat far from 0. These units are out there: whatever their inputs "
        "are, they give the same, and hardly any correction gets past them.",
    ),
    "poor_initialization": (
        "The first weights have the wrong size",
        "The random weights that training begins with must fit the activation and the number of "
        "inputs. Too large, and the signal grows from layer to layer; too small, and it fades.",
    ),
    "oscillating_loss": (
        "The loss swings instead of falling",
        "What one step gains the next one loses: the loss goes up and down by more than the "
        "chance differences between batches.",
    ),
    "slow_convergence": (
        "It learns, but too slowly for the epochs planned",
        "The loss falls steadily. At this pace the run is over before it gets anywhere near.",
    ),
    "not_learning": (
        "The network does not learn",
        "It is no better than one fixed answer that is given to every sample.",
    ),
    "non_finite": (
        "The numbers break (NaN or infinity)",
        "The loss or the weights have left the range of numbers. No later step brings them back: "
        "everything since then is lost.",
    ),
    "learning_rate_too_high": (
        "The learning rate is too high",
        "Each step goes so far that it overshoots and undoes what was learned.",
    ),
    "learning_rate_too_low": (
        "The learning rate is too low",
        "Each step is so small that all planned steps together move the weights hardly at all.",
    ),
    "unscaled_input": (
        "The inputs are not scaled",
        "A fresh network is made for inputs of about -3 to 3. With others the first layer starts "
        "far too strong or too weak, and no single learning rate suits all of its weights.",
    ),
    "unscaled_target": (
        "The targets are not scaled",
        "A fresh network gives numbers of about -1 to 1. The targets lie elsewhere, so that the "
        "first errors, and with them the steps, are far too large or too small.",
    ),
    "improper_output_activation": (
        "The output layer cannot give the right answers",
        "The last layer's activation decides what the network is able to answer. This one does "
        "not fit the targets and the loss.",
    ),
    "improper_loss": (
        "The loss does not fit the task",
        "The loss tells what counts as an error. This one rewards something else than the "
        "answers that the targets ask for.",
    ),
    "missing_activation": (
        "Hidden layers without an activation",
        "Layers with nothing but sums between them are together no more than one layer: the depth "
        "buys nothing.",
    ),
    "self_normalization_broken": (
        "Self-normalization is broken",
        "SELU layers keep the signal's mean at 0 and its deviation at 1 by themselves, but only "
        "with standardized inputs, LeCun's weights, and neither shortcuts nor ordinary dropout.",
    ),
    "disconnected_layer": (
        "A layer that no correction reaches",
        "Its weights have no connection to the loss through which they could learn: they stay as "
        "they are, whatever the training.",
    ),
    "excessive_dropout": (
        "Too much is dropped out",
        "Dropout blanks out a share of the units at random. With this share more is lost than is "
        "left to learn from.",
    ),
    "overfitting": (
        "It learns by heart (overfitting)",
        "The network goes on getting better on the samples that it is trained on, and worse on "
        "those that it has not seen.",
    ),
}
"""By symptom: its title, and one or two sentences on what it is."""
