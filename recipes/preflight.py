"""`preflight`: what is wrong with a model and its data, before any of the training is spent."""

from typing import Any

from ..callbacks._range_checks import checked_seed
from ..callbacks.diagnosis.diagnose import diagnose
from ..callbacks.diagnosis.finding import Finding, Severity
from ._arguments import positive_integer
from ._preflight_record import preflight_record


def preflight(
    model: Any,
    x: Any,
    y: Any = None,
    *,
    batch_size: int = 32,
    epochs: int | None = None,
    seed: int = 0,
) -> list[Finding]:
    """Finds the faults of a model and its data that show before it is trained.

    The data are described, the layers, the loss and the optimizer too. Then the model takes 10
    steps as `fit` would, with its own optimizer and rate, and the rules of `diagnose` judge what
    was seen: the scale of inputs and targets, output against loss against targets, initializers,
    missing activations, dropout, gradients that vanish or explode over depth, dead and saturated
    units, a rate at which the loss multiplies. Choose it before each training of a new model: it
    takes about half a second for a small one. What only a longer run shows, as a loss that
    swings, a rate that is too low or overfitting, is for `TrainingDoctor`.

    The model comes back as it was, bit for bit, also after an exception or Ctrl-C: weights,
    statistics and seeds of its layers, its optimizer, metrics, history and train function; and so
    do Python's and NumPy's random states. TensorFlow's moves only where a layer of your own calls
    `tf.random`. What the model did not have yet stays: one without weights is built by the first
    batch, and an optimizer that never ran is built. Generators, and data sets with an order of
    their own, go on where the check left them.

    A model with a `train_step` of its own, or on several replicas, takes no steps: it is judged
    by its layers and data alone. Class weights are not known here, sample weights where `x` is
    `tf.data` that holds them.

    Args:
        model: A compiled Keras model.
        x: As in `fit`: arrays, lists or dicts of them, `tf.data`, a `PyDataset`, a generator. Of
            arrays all is described and batches are drawn at random; of other data it is the
            first batches.
        y: Targets, where `x` is arrays. Defaults to `None`.
        batch_size: Integer. Examples of a batch, where `x` is arrays. Defaults to `32`.
        epochs: Integer. Epochs that are planned: some faults are fatal only in a short run.
            Defaults to `None`: as many as it takes.
        seed: Integer. Of the order of the examples, where `x` is arrays. Defaults to `0`.

    Returns:
        List of `Finding`, root causes first; `[]` where nothing was found.

    Raises:
        ValueError: An argument is out of its range, the model is not compiled or has nothing to
            train, or `x` holds no data. What Keras raises where the model can't take the data or
            the loss the targets is raised too, unless a finding of severity "error" says why.

    Reference:
        The rules name theirs; UMLAUT (Schoop et al. 2021) checks models before training, too.

    Example:
        ```python
        x = np.random.default_rng(0).normal(size=(200, 8)).astype("float32")
        y = (x.sum(axis=1) > 0).astype("float32")
        model = keras.Sequential(
            [keras.Input((8,)), keras.layers.Dense(16, "relu"), keras.layers.Dense(1, "softmax")]
        )
        model.compile("adam", "binary_crossentropy")
        for finding in preflight(model, x, y):
            print(finding)  # error: improper_output_activation in ...
        ```
    """
    batch_size = positive_integer("batch_size", batch_size)
    epochs = None if epochs is None else positive_integer("epochs", epochs)
    record, error = preflight_record(model, x, y, batch_size, epochs, checked_seed(seed))
    findings = diagnose(record)
    if error is not None and not any(one.severity is Severity.ERROR for one in findings):
        raise error
    return findings
