"""The search on Nielsen's own network and data, step by step beside his text.

    python benchmarks/search/nielsen.py [--seed 0] [--out DIR]

[784, 30, 10], sigmoids throughout, cross-entropy summed over the outputs, batches of ten, 50,000
images to train and 10,000 to validate. The learning rate is searched as he does, then lambda in
his units, penalty lambda / (2 n); afterwards the accuracy at his lambda of 5 is compared with that
at the one found, three seeds each. MNIST is read from TRAINWELL_MNIST or
../shared/data/mnist.npz. Started again on the same DIR it goes on where it was.
"""

import argparse
import os
import statistics
import time
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras
import tensorflow as tf

from trainwell.recipes import datasets, mlp
from trainwell.recipes.initializers import NielsenNormal
from trainwell.recipes.search import Candidate, HeuristicTuner, L2Stage, LearningRateStage
from trainwell.recipes.search._replay import replay

TRAINING, EPOCHS, LONG, SEEDS = 50_000, 10, 30, 3


def build_model(hp):
    l2, rate = hp.Float("l2", 0.0, 1.0), hp.Float("learning_rate", 1e-6, 100.0, sampling="log")
    model = mlp(
        (784,),
        hidden_units=[30],
        outputs=10,
        activation="sigmoid",
        output_activation="sigmoid",
        kernel_initializer=NielsenNormal(),
        kernel_regularizer=keras.regularizers.L2(l2),
    )
    model.compile(
        keras.optimizers.SGD(rate),
        "binary_crossentropy",
        loss_weights=[10.0],  # Keras takes the mean over the ten outputs, he the sum
        metrics=[keras.metrics.CategoricalAccuracy(name="accuracy")],
    )
    return model


class Compare:
    """A stage that only trains: at the lambda found and at his, several seeds each."""

    def decide(self, trials, chosen=None):
        return replay(trials, lambda walk: self._decision(walk, chosen))

    def _decision(self, walk, chosen):
        means = {}
        for name, l2 in (("found", chosen["l2"]), ("his", 5 / (2 * TRAINING))):
            values = {**chosen, "l2": l2, "epochs": LONG}
            runs = walk.trials([Candidate(values=values, execution=i) for i in range(SEEDS)], name)
            best = [max(run.accuracy) for run in runs]
            spread = statistics.stdev(best) / SEEDS**0.5
            means[name] = f"{statistics.mean(best):.4f} ± {spread:.4f} (standard error)"
        walk.note(
            f"Validation accuracy at the lambda found, {chosen['l2'] * 2 * TRAINING:.3g}: "
            f"{means['found']}; at his, 5: {means['his']}; {SEEDS} seeds each."
        )
        return walk.done({})


def data():
    default = Path(__file__).resolve().parents[3] / "shared" / "data" / "mnist.npz"
    loaded = datasets.load(os.environ.get("TRAINWELL_MNIST", default))
    x = loaded.x_train.reshape(len(loaded.x_train), -1).astype("float32")
    x = x / max(1.0, float(x.max()))
    y = keras.utils.to_categorical(loaded.y_train, 10)
    return (x[:TRAINING], y[:TRAINING]), (x[TRAINING:], y[TRAINING:])


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", default="nielsen-search")
    options = parser.parse_args()
    tf.config.experimental.enable_op_determinism()
    tuner = HeuristicTuner(
        build_model,
        stages=[LearningRateStage(), L2Stage(samples=TRAINING, epochs=EPOCHS), Compare()],
        directory=options.out,
        project_name=f"seed{options.seed}",
        seed=options.seed,
    )
    (x, y), validation = data()
    begin = time.perf_counter()
    tuner.search(x, y, batch_size=10, validation_data=validation)
    print(tuner.trace)
    print(f"{time.perf_counter() - begin:.0f} s")
    tuner.plot().savefig(Path(options.out) / f"seed{options.seed}.png")


if __name__ == "__main__":
    main()
