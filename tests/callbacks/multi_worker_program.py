"""One worker of two, started by `test_multi_worker.py` as a process of its own.

    TF_CONFIG=... python multi_worker_program.py OUT.json

Trains under `MultiWorkerMirroredStrategy`, watched, in a `strategy.run` loop, plain and clipped,
then with `fit`, and writes what its records hold.
"""

import json
import os
import sys
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras
import numpy as np
import tensorflow as tf
from keras import layers

from trainwell.callbacks import GradientNorms

GLOBAL_BATCH = 8
X = np.random.default_rng(0).normal(size=(32, 6)).astype("float32")
Y = np.random.default_rng(1).normal(size=(32, 1)).astype("float32")


def compiled(**options):
    keras.utils.set_random_seed(0)
    model = keras.Sequential(
        [keras.Input((6,)), layers.Dense(5, "tanh", name="a"), layers.Dense(1, name="b")]
    )
    model.compile(keras.optimizers.SGD(0.05, **options), "mse")
    return model


def share(context):
    """This worker's half of each global batch."""
    half = GLOBAL_BATCH // context.num_input_pipelines
    mine = np.arange(len(X)) // half % context.num_input_pipelines == context.input_pipeline_id
    return tf.data.Dataset.from_tensor_slices((X[mine], Y[mine])).batch(half)


def watched_loop(strategy, **options):
    """The record of an epoch in a loop of one's own."""
    with strategy.scope():
        model = compiled(**options)
    optimizer, monitor = model.optimizer, GradientNorms(statistics=("weight_norm",))

    def replica_step(x, y):
        with tf.GradientTape() as tape:
            loss = tf.reduce_sum((model(x, training=True) - y) ** 2) / GLOBAL_BATCH
            scaled = optimizer.scale_loss(loss)
        variables = model.trainable_variables
        optimizer.apply(tape.gradient(scaled, variables), variables)

    step = tf.function(lambda x, y: strategy.run(replica_step, (x, y)))
    with monitor.watch(optimizer, model):
        for x, y in strategy.distribute_datasets_from_function(share):
            step(x, y)
    return plain(monitor.record, model)


def fit(strategy, *callbacks):
    """The model after an epoch of `fit`, and what Keras raised, in words, or None."""
    with strategy.scope():
        model = compiled()
    batches = tf.data.Dataset.from_tensor_slices((X, Y)).batch(GLOBAL_BATCH)
    try:
        model.fit(batches, verbose=0, callbacks=list(callbacks))
    except Exception as error:
        return model, f"{type(error).__name__}: {error}"
    return model, None


def fits(strategy):
    """`fit` unwatched and watched: what each raised, or else the record."""
    monitor = GradientNorms(statistics=("weight_norm",))
    _, unwatched = fit(strategy)
    model, watched = fit(strategy, monitor)
    record = None if watched else plain(monitor.record, model)
    return {"unwatched": unwatched, "watched": watched, "record": record}


def plain(record, model):
    return {
        "steps": record.steps.tolist(),
        "loss": record.loss.tolist(),
        "clipped": record.clipped.tolist(),
        "gradient_norm": record["gradient_norm"].tolist(),
        "weight_norm": record["weight_norm"].tolist(),
        "weights": [weight.tolist() for weight in model.get_weights()],
    }


def main(path):
    strategy = tf.distribute.MultiWorkerMirroredStrategy()
    assert strategy.num_replicas_in_sync == 2
    results = {
        "loop": watched_loop(strategy),
        "clipped": watched_loop(strategy, global_clipnorm=0.5),
        "fit": fits(strategy),
    }
    Path(path).write_text(json.dumps(results))


if __name__ == "__main__":
    main(sys.argv[1])
