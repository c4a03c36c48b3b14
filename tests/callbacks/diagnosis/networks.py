"""Builders of network and data descriptions, for the rules that read nothing else."""

from trainwell.callbacks import TrainingRecord
from trainwell.callbacks._rows import Rows

GLOROT = {"class": "GlorotUniform"}
HE = {"class": "HeNormal"}
ZEROS = {"class": "Zeros"}


def dense(units, activation="linear", initializer=GLOROT, **changes):
    return {
        "class": "Dense",
        "activation": activation,
        "units": units,
        "initializer": initializer,
        "bias_initializer": ZEROS,
        "parameters": 1,
        "trainable": True,
        **changes,
    }


def plain(name, **changes):
    """A layer without weights."""
    return {"class": name, "activation": None, "parameters": 0, "trainable": True, **changes}


def network(*layers, features=8, inputs=None, **changes):
    """The description of layers in a row, or with the `inputs` given."""
    described, width = [], features
    for at, layer in enumerate(layers):
        kernel = {"kernel_shape": [width, layer["units"]]} if layer.get("units") else {}
        width = layer.get("units") or width
        described.append(
            {
                "path": f"layer_{at}",
                "normalizes": layer["class"] == "BatchNormalization",
                "merges": layer["class"] in ("Add", "Concatenate"),
                "rate": None,
                "output_shape": [None, width],
                "inputs": ([at - 1] if at else []) if inputs is None else inputs[at],
                "output": at == len(layers) - 1,
                **kernel,
                **layer,
            }
        )
    return {
        "name": "net",
        "outputs": ["output"],
        "layers": described,
        "loss": "mean_squared_error",
        "from_logits": None,
        "metrics": [],
        "optimizer": {"name": "Adam", "learning_rate": 0.001},
        "planned_epochs": 10,
        "steps_per_epoch": 100,
        **changes,
    }


def targets(shape, low, high, **changes):
    return {
        "shape": list(shape),
        "min": low,
        "max": high,
        "mean": (low + high) / 2,
        "std": (high - low) / 4,
        "integer": False,
        "distinct": None,
        "one_hot": False,
        **changes,
    }


ONE_HOT = targets([3], 0, 1, integer=True, distinct=2, one_hot=True, classes=3)
CLASSES = targets([], 0, 2, integer=True, distinct=3, classes=3)
BINARY = targets([1], 0, 1, integer=True, distinct=2, classes=2)


def record(described, target=None, given=None):
    """A record of a network and of its data."""
    data = {"targets": [target] if target else [], "inputs": [given] if given else []}
    return TrainingRecord(described, data)


def deep(depth, initializer, activation="relu", optimizer="SGD", between=()):
    """A network of `depth` alike hidden layers of 64 units."""
    layers = [one for _ in range(depth) for one in (dense(64, activation, initializer), *between)]
    rate = {"name": optimizer, "learning_rate": 0.01}
    return network(*layers, dense(3, "softmax"), features=64, optimizer=rate)


def connections(*connected):
    """A record of layers of which a gradient reaches some."""
    columns = [
        {
            "path": f"layer_{at}/kernel",
            "layer": f"layer_{at}",
            "part": "kernel",
            "shape": [2, 2],
            "size": 4,
            "connected": one,
        }
        for at, one in enumerate(connected)
    ]
    made = TrainingRecord()
    made.add_group(Rows("gradients", columns, ("gradient_norm",)))
    return made
