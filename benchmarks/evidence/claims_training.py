"""Claims on costs, regularization, optimizers, rates and batches."""

from claim import Claim

_NIELSEN = "Nielsen, chapter 3"
_OPTIMIZERS = "Géron, chapter 11, faster optimizers"
_SCHEDULES = "Géron, chapter 11, learning rate scheduling"
_REGULAR = "Géron, chapter 11, avoiding overfitting through regularization"

REGULARIZATION = (
    Claim("Cross-entropy cost", "With sigmoid outputs cross-entropy does better than the "
          "quadratic cost.", f"{_NIELSEN}, the cross-entropy cost function",
          "sigmoid outputs, cross-entropy", "sigmoid outputs, quadratic"),
    Claim("L2", "L2 regularization improves what a network does on held-out data.",
          f"{_NIELSEN}, overfitting and regularization; {_REGULAR}", "L2", "plain",
          note="One of three strengths, 0.0001, 0.001 and 0.01, is chosen together with the rate."),
    Claim("Dropout", "Dropout improves what a network does on held-out data.",
          f"{_REGULAR}; Srivastava et al. 2014", "dropout", "plain", note="A rate of 0.3."),
    Claim("Max-norm", "Limiting the norm of the weights into each unit improves what a network "
          "does on held-out data.", f"{_REGULAR}; Srivastava et al. 2014", "max-norm", "plain",
          note="A limit of 1, Géron's."),
    Claim("Alpha dropout for SELU", "In a deep SELU network alpha dropout does better than "
          "dropout.", f"{_REGULAR}; Klambauer et al. 2017",
          "SELU, alpha dropout", "SELU, dropout",
          note="A rate of 0.1 in 8 layers; three learning rates, for their cost."),
    Claim("Monte Carlo dropout: accuracy", "The mean of predictions with dropout is more accurate "
          "than the prediction without.", f"{_REGULAR}; Gal and Ghahramani 2016",
          "dropout", "dropout", "Monte Carlo accuracy", "accuracy"),
    Claim("Monte Carlo dropout: loss", "The mean of predictions with dropout knows better how "
          "sure it is: its loss is lower.", f"{_REGULAR}; Gal and Ghahramani 2016",
          "dropout", "dropout", "Monte Carlo loss", "loss"),
    Claim("Early stopping", "Stopping by no-improvement-in-ten does better on held-out data than "
          "a fixed long training.", f"{_NIELSEN}, how to choose hyperparameters; {_REGULAR}",
          "long", "long", "stopped accuracy", "accuracy",
          note="Three times the ordinary epochs. The weights of the best epoch are taken."),
)  # fmt: skip

OPTIMIZERS = (
    Claim("Momentum", "Momentum of 0.9 trains faster than plain gradient descent.",
          f"{_NIELSEN}, variations on SGD; {_OPTIMIZERS}", "momentum", "SGD", "speed"),
    Claim("Nesterov", "Nesterov's momentum trains faster than ordinary momentum.",
          _OPTIMIZERS, "Nesterov", "momentum", "speed"),
    Claim("Adam trains faster", "Adam trains faster than gradient descent with momentum.",
          _OPTIMIZERS, "Adam", "momentum", "speed",
          note="Adam's six rates are a tenth of momentum's."),
    Claim("Nadam trains faster", "Nadam trains faster than Adam.", f"{_OPTIMIZERS}; Dozat 2016",
          "Nadam", "Adam", "speed"),
    Claim("Momentum generalizes better",
          "Nesterov's momentum does better on held-out data than adaptive Adam.",
          f"{_OPTIMIZERS}; Wilson et al. 2017", "Nesterov", "Adam",
          note="Adam's six rates are a tenth of momentum's."),
)  # fmt: skip

RATES = (
    Claim("1cycle", "1cycle does better than a constant rate in as many epochs.",
          f"{_SCHEDULES}; Smith 2018", "1cycle", "momentum",
          note="Momentum stays at 0.9 in both; the rate chosen is the cycle's highest."),
    Claim("Exponential decay", "A rate that falls exponentially does better than a constant one.",
          _SCHEDULES, "exponential", "momentum", note="To 0.03 of the first rate at the end."),
    Claim("Large early, small late",
          "A rate that is large at first and a fifth of it later does better than a constant one.",
          f"{_NIELSEN}, how to choose hyperparameters; {_SCHEDULES}", "piecewise", "momentum",
          note="A fifth from the middle of the training on."),
    Claim("Halving on no improvement", "A rate that is halved when validation accuracy stops "
          "improving does better than a constant one.",
          f"{_NIELSEN}, how to choose hyperparameters; {_SCHEDULES}", "halving", "momentum",
          note="After a tenth of the epochs, two at least, without improvement."),
    Claim("Half of the threshold rate", "Half of the largest rate at which the cost still falls "
          "at first does better than that rate.",
          f"{_NIELSEN}, how to choose hyperparameters", "rates in doubles", "rates in doubles",
          "half of the threshold", "threshold",
          note="Rates in steps of 2 from 1/16 to 32; the threshold is each seed's own."),
    Claim("Small batches", "At equal epochs batches of 8 train further than batches of 96.",
          f"{_NIELSEN}, how to choose hyperparameters", "batches of 8", "batches of 96", "speed",
          note="Epochs are counted, not seconds."),
)  # fmt: skip
