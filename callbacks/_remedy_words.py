"""A remedy as something to do: a sentence, and the line of code that does it."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from ._tables import number
from .record import TrainingRecord

_ACTIVATIONS = {
    "relu": "ReLU",
    "elu": "ELU",
    "selu": "SELU",
    "gelu": "GELU",
    "leaky_relu": "leaky ReLU",
    "sigmoid": "a sigmoid",
    "softmax": "a softmax",
    "linear": "no activation",
    "exponential": "an exponential",
    "softplus": "a softplus",
}
_OPTIMIZERS = {
    "adam": "Adam", "adamw": "AdamW", "adamax": "Adamax", "nadam": "Nadam", "sgd": "SGD",
    "rmsprop": "RMSprop", "adagrad": "Adagrad", "adadelta": "Adadelta", "ftrl": "Ftrl",
    "lion": "Lion", "adafactor": "Adafactor",
}  # fmt: skip


def action_of(
    kind: str,
    value: Any,
    record: TrainingRecord,
    layers: Sequence[str] = (),
    activation: str | None = None,
) -> tuple[str, str]:
    """What to do, and how.

    Args:
        kind: String. What to change, as in `Remedy`.
        value: What to set it to, as in `Remedy`.
        record: Of the run: the code is written with its layers and its optimizer.
        layers: The finding's layers. Defaults to `()`.
        activation: String. The one that an earlier remedy of the finding brings in. Defaults to
            `None`: the layers' own.

    Returns:
        A sentence without its full stop, and a line of code; both `""` where it is not known.
    """
    words = _WORDS.get(kind)
    try:
        return ("", "") if words is None else words(value, _Context(record, layers, activation))
    except (AttributeError, KeyError, TypeError, ValueError):  # a value of someone's own making
        return "", ""


class _Context:
    """The run's own layer and optimizer, to write code with."""

    def __init__(
        self, record: TrainingRecord, layers: Sequence[str], activation: str | None
    ) -> None:
        self._network, self._layers, self._activation = record.network, set(layers), activation

    def layer(self, output: bool = False, **arguments: object) -> str:
        """The call that builds one of the finding's layers, with other arguments."""
        described = [one for one in self._network.get("layers") or [] if one.get("units")]
        named = [one for one in described if one.get("path") in self._layers]
        outputs = [one for one in described if one.get("output")]
        chosen = (outputs or named) if output else (named or described)
        one: dict[str, Any] = chosen[0] if chosen else {}
        given = [str(one.get("units", "..."))]
        activation = self._activation or one.get("activation")
        if "kernel_initializer" in arguments and isinstance(activation, str):
            given.append(f'activation="{activation}"')
        given += [f'{key}="{value}"' for key, value in arguments.items()]
        return f"keras.layers.{one.get('class') or 'Dense'}({', '.join(given)})"

    def optimizer(self, **arguments: object) -> str:
        """The call that builds the optimizer, with other arguments."""
        described = self._network.get("optimizer") or {}
        kept = {
            key: described[key]
            for key in ("learning_rate", "momentum")
            if isinstance(described.get(key), float) and described[key]
        }
        inside = ", ".join(f"{key}={_plain(one)}" for key, one in (kept | arguments).items())
        return f"keras.optimizers.{described.get('name') or 'SGD'}({inside})"

    def compile(self, arguments: str) -> str:
        return f"model.compile({arguments}, ...)"

    @property
    def epochs(self) -> str:
        planned = self._network.get("planned_epochs")
        return f"{3 * planned}" if isinstance(planned, int) else "..."


_Words = tuple[str, str]


def _activation(value: Any, run: _Context) -> _Words:
    named = _ACTIVATIONS.get(str(value), str(value))
    return f"Use {named} in the hidden layers", run.layer(activation=value)


def _output_activation(value: Any, run: _Context) -> _Words:
    named = _ACTIVATIONS.get(str(value), f"the activation {value}")
    return f"Give the output layer {named}", run.layer(True, activation=value)


def _initializer(value: Any, run: _Context) -> _Words:
    sentence = f"Draw the first weights with {value}"
    return sentence, run.layer(kernel_initializer=value)


def _normalization(value: Any, run: _Context) -> _Words:
    code = 'Dense(units, use_bias=False), BatchNormalization(), Activation("...")'
    return "Put a batch normalization before each hidden layer's activation", code


def _loss(value: Any, run: _Context) -> _Words:
    return f"Compile with the loss {value}", run.compile(f'loss="{value}"')


def _input_scaling(value: Any, run: _Context) -> _Words:
    if value == "clean":
        keep = "keep = np.isfinite(x).reshape(len(x), -1).all(axis=1); x, y = x[keep], y[keep]"
        return "Drop the samples with NaN or infinity in them, or fill these in", keep
    code = "scaling = keras.layers.Normalization(); scaling.adapt(x_train)  # the first layer"
    return "Standardize the inputs: mean 0, deviation 1", code


def _target_scaling(value: Any, run: _Context) -> _Words:
    if isinstance(value, Mapping) and "mean" in value:
        mean, std = _plain(value["mean"]), _plain(value["std"])
        code = f"y = (y - {mean}) / {std}  # and back: {std} * model.predict(x) + {mean}"
        return "Standardize the targets: mean 0, deviation 1", code
    factor = value.get("labels") if isinstance(value, Mapping) else None
    if factor is None:
        return "Make the labels whole numbers from 0 to the number of classes - 1", ""
    code = f"y = np.round(y * {_plain(factor)}).astype(int)"
    return "Make the labels whole numbers again: they were divided", code


def _clipping(value: Any, run: _Context) -> _Words:
    arguments = dict(value) if isinstance(value, Mapping) else {"clipnorm": value}
    return "Cut off gradients that are too long", run.compile(run.optimizer(**arguments))


def _learning_rate(value: Any, run: _Context) -> _Words:
    if value is None:
        code = "trainwell.callbacks.find_learning_rate(model, x, y).suggestions"
        return "Find the learning rate by a range test", code
    sentence = f"Set the learning rate to {_plain(value)}"
    return sentence, run.compile(run.optimizer(learning_rate=value))


def _optimizer(value: Any, run: _Context) -> _Words:
    named = _OPTIMIZERS.get(str(value).lower(), str(value))
    return f"Train with {named}", run.compile(f"keras.optimizers.{named}()")


def _dropout(value: Any, run: _Context) -> _Words:
    if not value:
        return "Take the dropout out", ""
    return f"Drop out {value:.0%} of the units", f"keras.layers.Dropout({_plain(value)})"


def _regularization(value: Any, run: _Context) -> _Words:
    strength = value.get("l2") if isinstance(value, Mapping) else value
    code = f"kernel_regularizer=keras.regularizers.L2({_plain(strength)})"
    return "Penalize large weights", code


def _connect(value: Any, run: _Context) -> _Words:
    if value == "residual":
        code = "x = keras.layers.Add()([x, hidden_layer(x)])"
        return "Lead shortcuts around the hidden layers", code
    return "Connect it with the loss by operations that have a derivative", ""


def _epochs(value: Any, run: _Context) -> _Words:
    if value == "early_stopping":
        code = "callbacks=[keras.callbacks.EarlyStopping(patience=5, restore_best_weights=True)]"
        return "Stop when the validation loss no longer falls, and keep the best weights", code
    return "Train for more epochs", f"model.fit(x, y, epochs={run.epochs})"


def _batch_size(value: Any, run: _Context) -> _Words:
    size = "..." if value is None else _plain(value)
    return "Take larger batches", f"model.fit(x, y, batch_size={size})"


_WORDS: dict[str, Callable[[Any, _Context], _Words]] = {
    "activation": _activation,
    "initializer": _initializer,
    "normalization": _normalization,
    "output_activation": _output_activation,
    "loss": _loss,
    "input_scaling": _input_scaling,
    "target_scaling": _target_scaling,
    "clipping": _clipping,
    "learning_rate": _learning_rate,
    "optimizer": _optimizer,
    "dropout": _dropout,
    "regularization": _regularization,
    "connect": _connect,
    "epochs": _epochs,
    "batch_size": _batch_size,
}


def _plain(value: object) -> str:
    """A number as code has it."""
    return number(value).replace(",", "") if isinstance(value, (int, float)) else repr(value)
