"""HessianFree: products, conjugate gradients and steps against whole matrices in NumPy."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from trainwell.callbacks import GradientNorms
from trainwell.recipes.optimizers._conjugate_gradients import conjugate_gradients
from trainwell.recipes.optimizers._curvature import BatchLoss, matching_heads
from trainwell.recipes.optimizers._line_search import line_search, next_damping
from trainwell.recipes.optimizers.hessian_free import HessianFree

RNG = np.random.default_rng(0)
N = 12
X = RNG.normal(size=(N, 3)).astype("float32")
CLASSES = np.arange(N) % 3
ONE_HOT = np.eye(3, dtype="float32")[CLASSES]
WEIGHTS = RNG.uniform(0.5, 2, N).astype("float32")
LINEAR = np.array([[1.0], [-2.0], [3.0]], "float32")


def dense_model(output="softmax", regularizer=None, seed=0):
    keras.utils.set_random_seed(seed)
    return keras.Sequential(
        [
            keras.Input((3,)),
            keras.layers.Dense(2, "tanh", kernel_regularizer=regularizer),
            keras.layers.Dense(3, output),
        ]
    )


def linear_model(seed=0):
    keras.utils.set_random_seed(seed)
    return keras.Sequential([keras.Input((3,)), keras.layers.Dense(1, use_bias=False)])


def flat(tensors):
    return np.concatenate([np.asarray(t).ravel() for t in tensors])


def weights_of(model):
    return [tf.convert_to_tensor(v) for v in model.trainable_variables]


def columns(product, weights):
    """The whole matrix of a product, one unit vector at a time."""
    sizes = [int(np.prod(w.shape)) for w in weights]
    ends = np.cumsum(sizes)[:-1]
    rows = []
    for unit in np.eye(sum(sizes), dtype="float32"):
        parts = zip(np.split(unit, ends), weights, strict=True)
        rows.append(flat(product(weights, [tf.reshape(p, w.shape) for p, w in parts])))
    return np.array(rows).T


def jacobian(model, call):
    """d call() / d weights as a matrix, by TensorFlow's own reverse mode."""
    with tf.GradientTape() as tape:
        out = call()
    parts = tape.jacobian(out, [v.value for v in model.trainable_variables])
    return np.concatenate([p.numpy().reshape(out.shape.num_elements(), -1) for p in parts], 1)


def whole_hessian(model, loss):
    def gradient():
        with tf.GradientTape() as tape:
            value = loss()
        parts = tape.gradient(value, [v.value for v in model.trainable_variables])
        return tf.concat([tf.reshape(part, [-1]) for part in parts], 0)

    return jacobian(model, gradient), gradient().numpy()


def logits(model):
    hidden, output = model.layers
    return hidden(X) @ output.kernel + output.bias


# ------------------------------------------------------------------ products


@pytest.mark.parametrize("regularizer", [None, keras.regularizers.L2(0.1)])
def test_hessian_product_is_the_whole_hessian(regularizer):
    model = dense_model(regularizer=regularizer)
    model.compile(loss="sparse_categorical_crossentropy")
    product = tf.function(BatchLoss(model, X, CLASSES, WEIGHTS).hessian_vector, autograph=False)

    def loss():
        each = keras.losses.sparse_categorical_crossentropy(CLASSES, model(X))
        return tf.reduce_mean(WEIGHTS * each) + sum(model.losses)

    expected, _ = whole_hessian(model, loss)
    np.testing.assert_allclose(columns(product, weights_of(model)), expected, atol=2e-6)


@pytest.mark.parametrize("kind", ["softmax", "sigmoid", "linear"])
def test_gauss_newton_product_is_its_matrix(kind):
    """J' L'' J, with L'' written out: p (1 - p) and its kin at the logits, 2 / 3 of a square."""
    model = dense_model(kind, keras.regularizers.L2(0.1))
    loss, y = {
        "softmax": ("sparse_categorical_crossentropy", CLASSES),
        "sigmoid": (keras.losses.BinaryCrossentropy(), ONE_HOT),
        "linear": ("mean_squared_error", ONE_HOT),
    }[kind]
    model.compile(loss=loss)
    heads = matching_heads(model, loss)
    assert heads == [None if kind == "linear" else model.layers[-1]]
    batch = BatchLoss(model, X, y, WEIGHTS, heads=heads)
    ours = columns(tf.function(batch.gauss_newton_vector, autograph=False), weights_of(model))

    j = jacobian(model, lambda: logits(model)).reshape(N, 3, -1)
    p = np.asarray(model(X))
    bend = {
        "softmax": [np.diag(row) - np.outer(row, row) for row in p],
        "sigmoid": [np.diag(row * (1 - row)) / 3 for row in p],
        "linear": [np.eye(3) * 2 / 3] * N,
    }[kind]
    expected = sum(w * a.T @ b @ a for w, a, b in zip(WEIGHTS, j, bend, strict=True)) / N
    expected[:6, :6] += 2 * 0.1 * np.eye(6)  # of the first kernel's L2
    np.testing.assert_allclose(ours, expected, atol=2e-6)
    assert model.layers[-1].activation is keras.activations.get(kind)


def test_heads():
    softmax = dense_model()
    inner = keras.Sequential([keras.Input((3,)), keras.layers.Dense(3), softmax])
    activation = keras.Sequential(
        [keras.Input((3,)), keras.layers.Dense(3), keras.layers.Activation("softmax")]
    )
    cce = keras.losses.CategoricalCrossentropy
    assert matching_heads(inner, "categorical_crossentropy") == [softmax.layers[-1]]
    assert matching_heads(activation, cce()) == [activation.layers[-1]]
    for loss in ("mse", "binary_crossentropy", cce(from_logits=True), None):
        assert matching_heads(softmax, loss) == [None]
    inputs = keras.Input((3,))
    a = keras.layers.Dense(2, "softmax", name="a")(inputs)
    b = keras.layers.Dense(1, name="b")(inputs)
    two = keras.Model(inputs, {"b": b, "a": a})
    found = matching_heads(two, {"a": "categorical_crossentropy", "b": "mse"})
    assert {layer.name for layer in found if layer} == {"a"}


# ------------------------------------------------------------------ conjugate gradients


def solve(matrix, gradient, iterations, tolerance=0.0, start=None, preconditioner=None):
    matrix, gradient = matrix.astype("float64"), gradient.astype("float64")
    zeros = np.zeros_like(gradient)
    return conjugate_gradients(
        lambda v: tf.linalg.matvec(matrix, v),
        tf.constant(gradient),
        tf.constant(zeros if start is None else start),
        tf.constant(zeros + 1 if preconditioner is None else preconditioner),
        iterations,
        tolerance,
    )


@pytest.mark.parametrize("jit_compile", [False, True])
@pytest.mark.parametrize("preconditioned", [False, True])
def test_conjugate_gradients_solve(preconditioned, jit_compile):
    root = RNG.normal(size=(6, 6))
    matrix, gradient = root @ root.T + np.diag(np.arange(1.0, 7)), RNG.normal(size=6)
    start, diagonal = RNG.normal(size=6), np.diag(matrix) if preconditioned else np.ones(6)
    found = {}

    @tf.function(jit_compile=jit_compile)
    def run():
        s = solve(matrix, gradient, 8, start=start, preconditioner=diagonal)
        return s.x, s.value, s.negative_curvature

    found, value, bent = run()
    expected = -np.linalg.solve(matrix, gradient)
    np.testing.assert_allclose(found, expected, rtol=1e-8)
    assert float(value) == pytest.approx(gradient @ expected / 2, rel=1e-10)
    assert not bool(bent)


def test_two_iterations_solve_two_eigenvalues():
    solution = solve(np.diag([1.0, 1, 1, 9]), np.ones(4), 2)
    np.testing.assert_allclose(solution.x, [-1, -1, -1, -1 / 9], rtol=1e-12)
    assert int(solution.iterations) == 2


def test_negative_curvature_truncates():
    solution = solve(np.diag([4.0, -1.0]), np.array([1.0, 0.1]), 10)
    # The first direction -(1, .1) has curvature 4 - .01; its step 1.01 / 3.99. The next is bent.
    np.testing.assert_allclose(solution.x, np.array([-1, -0.1]) * 1.01 / 3.99, rtol=1e-12)
    assert bool(solution.negative_curvature)
    assert int(solution.iterations) == 2
    at_once = solve(-np.eye(2), np.ones(2), 10)
    np.testing.assert_array_equal(at_once.x, [0, 0])


def test_a_zero_gradient_takes_no_iteration():
    assert int(solve(np.eye(3), np.zeros(3), 10).iterations) == 0


def test_martens_rule():
    """It stops at the first i whose last 10 iterations gained less than 10 * tolerance."""
    # Condition 30: in float64 rounding doesn't show within 39 iterations.
    diagonal, gradient = np.geomspace(1, 30, 40), np.ones(40)
    x, r, p, values = np.zeros(40), gradient, -gradient, [0.0]
    for _ in range(39):
        step = r @ r / (p @ (diagonal * p))
        x, new = x + step * p, r + step * diagonal * p
        p, r = new @ new / (r @ r) * p - new, new
        values.append(gradient @ x + x @ (diagonal * x) / 2)
    gains = [(values[i] - values[i - 10]) / values[i] for i in range(10, 40)]
    expected = next(i for i in range(11, 40) if gains[i - 10] < 10 * 1e-3)
    assert 11 < expected < 39
    solution = solve(np.diag(diagonal), gradient, 39, tolerance=1e-3)
    assert int(solution.iterations) == expected
    assert float(solution.value) == pytest.approx(values[expected], rel=1e-9)


# ------------------------------------------------------------------ line search and damping


def test_line_search_halves_until_the_loss_falls():
    # (t - .2)²: the slope at 0 is -.4; .36 at 1/2 is no reduction of .04, .0025 at 1/4 is.
    found = line_search(lambda t: (t - 0.2) ** 2, tf.constant(0.04), tf.constant(-0.4))
    assert (float(found.share), int(found.losses)) == (0.25, 3)
    assert float(found.change) == pytest.approx(0.6)


@pytest.mark.parametrize("after", [1.0, np.nan, np.inf])
def test_line_search_rejects(after):
    found = line_search(lambda t: after + 0 * t, tf.constant(1.0), tf.constant(-1.0))
    assert (float(found.share), int(found.losses)) == (0.0, 11)


@pytest.mark.parametrize(
    ("ratio", "factor"), [(0.8, 2 / 3), (0.75, 1), (0.25, 1), (0.2, 1.5), (-1, 1.5), (np.nan, 1.5)]
)
def test_levenberg_marquardt(ratio, factor):
    assert float(next_damping(tf.constant(2.0), tf.constant(float(ratio)))) == pytest.approx(
        2 * factor
    )


# ------------------------------------------------------------------ whole steps


def one_step(model, loss, x, y, compile_options=None, fit_options=None, **options):
    trainer = HessianFree(model, **options)
    trainer.compile(loss=loss, **{"run_eagerly": True, **(compile_options or {})})
    before = flat(model.trainable_variables)
    logs = trainer.fit(x, y, batch_size=len(x), verbose=0, **(fit_options or {})).history
    return flat(model.trainable_variables) - before, logs


def test_one_step_solves_least_squares():
    noise = 0.1 * RNG.normal(size=(N, 1)).astype("float32")
    model, y = linear_model(), X @ LINEAR + noise
    _, logs = one_step(model, "mse", X, y, damping=1e-9)
    best = np.linalg.lstsq(X, y, rcond=None)[0]
    np.testing.assert_allclose(model.get_weights()[0], best, atol=2e-5)
    assert logs["damping"] == [pytest.approx(1e-9 * 2 / 3)]
    # One gradient, one product for the start and one for each iteration, one loss.
    assert logs["gradient_evaluations"] == [1 + 2 * (1 + logs["cg_iterations"][0]) + 1]


@pytest.mark.parametrize("curvature", ["gauss_newton", "hessian"])
def test_a_step_solves_the_damped_system(curvature):
    """Where it can be checked: the whole matrix plus damping, solved by NumPy."""
    model, damping = dense_model(), 2.0
    heads = matching_heads(model, "sparse_categorical_crossentropy")
    model.compile(loss="sparse_categorical_crossentropy")
    batch = BatchLoss(model, X, CLASSES, heads=heads)
    times = batch.hessian_vector if curvature == "hessian" else batch.gauss_newton_vector
    matrix = columns(tf.function(times, autograph=False), weights_of(model)).astype("float64")
    gradient = flat(batch.gradient(weights_of(model))[1])
    expected = -np.linalg.solve(matrix + damping * np.eye(len(matrix)), gradient)
    step, _ = one_step(
        model,
        "sparse_categorical_crossentropy",
        X,
        CLASSES,
        curvature=curvature,
        damping=damping,
        cg_iterations=50,
        cg_tolerance=0,
    )
    np.testing.assert_allclose(step, expected, atol=1e-5)


def test_sample_and_class_weights():
    """Weight 2 for a class is as if its samples were there twice, up to the mean's size."""
    twice = np.concatenate([np.arange(N), np.flatnonzero(CLASSES == 1)])
    options = {"damping": 1e-2, "cg_iterations": 3}
    loss = "sparse_categorical_crossentropy"
    by_class, _ = one_step(
        dense_model(), loss, X, CLASSES, fit_options={"class_weight": {0: 1, 1: 2, 2: 1}}, **options
    )
    by_sample, _ = one_step(
        dense_model(),
        loss,
        X,
        CLASSES,
        fit_options={"sample_weight": 1.0 + (CLASSES == 1)},
        **options,
    )
    np.testing.assert_allclose(by_class, by_sample, atol=1e-6)
    # The mean over 16 instead of 12 scales loss and curvature: so must the damping.
    repeated, _ = one_step(
        dense_model(), loss, X[twice], CLASSES[twice], damping=1e-2 * 12 / 16, cg_iterations=3
    )
    np.testing.assert_allclose(by_class, repeated, atol=2e-5)


@pytest.mark.parametrize("curvature", ["gauss_newton", "hessian"])
def test_the_loss_never_rises(curvature):
    model = dense_model("sigmoid")
    trainer = HessianFree(model, curvature=curvature, damping=1e-6)
    trainer.compile(loss="mse")
    for seed in range(3):
        for variable in model.trainable_variables:
            # Saturated, so that the quadratic model is a bad one.
            variable.assign(4 * np.random.default_rng(seed).normal(size=variable.shape))
        if seed:
            trainer.optimizer.damping.assign(1e-6)
        y = np.random.default_rng(seed).random((N, 3)).astype("float32")
        losses = trainer.fit(X, y, batch_size=N, epochs=12, verbose=0).history["loss"]
        # Batches are shuffled: sums of float32 in another order.
        assert (np.diff(losses) <= 1e-6).all()
        assert losses[-1] < losses[0]


def test_a_rejected_step_leaves_the_weights():
    model = linear_model()
    x = X.copy()
    x[0, 0] = np.nan
    trainer = HessianFree(model, damping=1.0, preconditioned=True)
    trainer.compile(loss="mse", run_eagerly=True)
    before = model.get_weights()[0]
    logs = trainer.fit(x, X @ LINEAR, batch_size=N, verbose=0).history
    np.testing.assert_array_equal(model.get_weights()[0], before)
    assert np.isfinite(flat(trainer.optimizer.variables)).all()
    assert logs["damping"] == [1.5]


def test_at_the_minimum_it_stays():
    model = linear_model()
    model.set_weights([LINEAR])
    step, _ = one_step(model, "mse", X, X @ LINEAR)
    np.testing.assert_allclose(step, 0, atol=1e-6)


def test_ill_conditioned_at_equal_gradient_evaluations():
    """Condition 1e4: 100 gradient steps at any rate leave most of it, 100 evaluations do not."""
    scale = np.geomspace(1, 1e-2, 10)
    x = np.diag(scale * np.sqrt(10 / 2)).astype("float32")  # Hessian diag(scale²), 1 to 1e-4
    y = x @ np.ones((10, 1), "float32")
    model = keras.Sequential([keras.Input((10,)), keras.layers.Dense(1, "linear", False)])
    model.set_weights([np.zeros((10, 1))])
    trainer = HessianFree(model, damping=1e-6)
    trainer.compile(loss="mse")
    history = trainer.fit(x, y, batch_size=10, epochs=4, verbose=0).history
    assert history["gradient_evaluations"][-1] <= 100
    ours = trainer.evaluate(x, y, verbose=0)
    # Gradient descent multiplies each error by 1 - rate scale², and rate 2 is the last stable one.
    rates = np.linspace(0.05, 2, 40)[:, None]
    theirs = (scale**2 * (1 - rates * scale**2) ** 200).sum(axis=1) / 2
    assert ours < 0.01 * theirs.min()


# ------------------------------------------------------------------ what is around a step


def test_constraints_hold_and_count():
    keras.utils.set_random_seed(0)
    layer = keras.layers.Dense(1, use_bias=False, kernel_constraint=keras.constraints.NonNeg())
    model = keras.Sequential([keras.Input((3,)), layer])
    trainer = HessianFree(model)
    trainer.compile(loss="mse", run_eagerly=True)
    losses = trainer.fit(X, X @ LINEAR, batch_size=N, epochs=2, verbose=0).history["loss"]
    assert (model.get_weights()[0] >= 0).all()
    assert losses[1] < losses[0]


def test_batch_normalization_moves_once_and_masks_stay():
    keras.utils.set_random_seed(0)
    norm = keras.layers.BatchNormalization(momentum=0.9)
    drop = keras.layers.Dropout(0.5, seed=3)
    model = keras.Sequential([keras.Input((3,)), norm, drop, keras.layers.Dense(1)])
    twin = keras.layers.Dropout(0.5, seed=3)
    before = [np.asarray(v) for v in model.trainable_variables]
    trainer = HessianFree(model)
    trainer.compile(loss="mse", run_eagerly=True)
    logged = trainer.fit(X, X @ LINEAR, batch_size=N, shuffle=False, verbose=0).history["loss"]
    np.testing.assert_allclose(norm.moving_mean, 0.1 * X.mean(axis=0), rtol=1e-4, atol=1e-6)
    inputs = (X - X.mean(axis=0)) / np.sqrt(X.var(axis=0) + 1e-3)
    out = np.asarray(twin(inputs, training=True)) @ before[2] + before[3]
    assert logged[0] == pytest.approx(np.square(out - X @ LINEAR).mean(), rel=1e-4)
    # The layer drew one mask, as its twin did: their next ones are equal.
    ones = np.ones((4, 8), "float32")
    np.testing.assert_array_equal(drop(ones, training=True), twin(ones, training=True))


def test_monitors_see_the_gradient_and_the_loss():
    model, twin = dense_model(), dense_model()
    with tf.GradientTape() as tape:
        loss = tf.reduce_mean(keras.losses.sparse_categorical_crossentropy(CLASSES, twin(X)))
    gradients = tape.gradient(loss, [v.value for v in twin.trainable_variables])
    trainer, monitor = HessianFree(model, cg_iterations=2), GradientNorms()
    trainer.compile(loss="sparse_categorical_crossentropy", run_eagerly=True)
    trainer.fit(X, CLASSES, batch_size=N, verbose=0, callbacks=[monitor])
    expected = [np.linalg.norm(g) for g in gradients]
    np.testing.assert_allclose(monitor.record["gradient_norm"][0], expected, rtol=1e-5)
    assert monitor.record.loss[0] == pytest.approx(float(loss), rel=1e-5)


@pytest.mark.parametrize(
    "optimizer",
    [0.5, keras.optimizers.SGD(0.5), keras.optimizers.schedules.ExponentialDecay(0.5, 10, 0.9)],
)
def test_learning_rate_is_the_share_that_is_gone(optimizer):
    y, options = X @ LINEAR, {"cg_iterations": 2}
    whole, _ = one_step(linear_model(), "mse", X, y, **options)
    half, _ = one_step(linear_model(), "mse", X, y, {"optimizer": optimizer}, **options)
    np.testing.assert_allclose(half, whole / 2, rtol=1e-5)


def test_learning_rate_callbacks():
    model = linear_model()
    trainer = HessianFree(model)
    trainer.compile(loss="mse", run_eagerly=True)
    before = model.get_weights()[0]
    nothing = keras.callbacks.LearningRateScheduler(lambda epoch: 0.0)
    history = trainer.fit(X, X @ LINEAR, verbose=0, callbacks=[nothing]).history
    assert history["learning_rate"] == [0.0]
    np.testing.assert_array_equal(model.get_weights()[0], before)


@pytest.mark.parametrize(
    "optimizer",
    [
        "adam",
        keras.optimizers.SGD(1.0, momentum=0.9),
        keras.optimizers.SGD(1.0, clipnorm=1.0),
        True,
    ],
)
def test_other_optimizers_are_refused(optimizer):
    with pytest.raises(ValueError, match=r"makes its steps itself.*Received: optimizer="):
        HessianFree(linear_model()).compile(optimizer, "mse")


def test_a_trainer_from_disk_goes_on_where_it_was(tmp_path):
    options = {"preconditioned": True, "seed": 1, "damping": 0.01, "cg_iterations": 7}
    model = dense_model()
    trainer = HessianFree(model, **options, name="trainer")
    trainer.compile(loss="sparse_categorical_crossentropy", metrics=["accuracy"])
    trainer.fit(X, CLASSES, batch_size=N, epochs=2, shuffle=False, verbose=0)
    trainer.save(tmp_path / "trainer.keras")
    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "trainer.keras")
    assert isinstance(loaded, HessianFree)
    assert loaded.get_config()["damping"] == 0.01
    assert (loaded.name, loaded.cg_iterations, loaded.seed) == ("trainer", 7, 1)
    inner = keras.models.load_model(tmp_path / "model.keras")
    np.testing.assert_array_equal(inner(X), loaded(X))
    logs = [
        one.fit(X, CLASSES, batch_size=N, epochs=2, shuffle=False, verbose=0).history
        for one in (trainer, loaded)
    ]
    assert logs[0] == logs[1]
    np.testing.assert_array_equal(trainer(X), loaded(X))


def test_preconditioner_knows_a_diagonal_curvature():
    """Signs v give v (B v) = the diagonal exactly where B is diagonal."""
    x = np.diag([1.0, 2.0, 4.0]).astype("float32")
    model = linear_model()
    trainer = HessianFree(model, preconditioned=True, seed=0)
    trainer.compile(loss="mse", run_eagerly=True)
    logs = trainer.fit(x, x @ LINEAR, batch_size=3, epochs=2, verbose=0).history
    diagonal = flat(trainer.optimizer.diagonal)
    np.testing.assert_allclose(diagonal, 2 / 3 * np.array([1, 4, 16]), rtol=1e-5)
    first = logs["cg_iterations"][0]
    assert logs["gradient_evaluations"][0] == 1 + 2 * (first + 2) + 1


def test_jit_agrees():
    options = {"damping": 0.1, "cg_iterations": 3}
    steps = [
        one_step(dense_model(), "sparse_categorical_crossentropy", X, CLASSES, how, **options)[0]
        for how in ({}, {"run_eagerly": False, "jit_compile": True})
    ]
    np.testing.assert_allclose(*steps, atol=1e-5)


@pytest.mark.parametrize("policy", ["mixed_float16", "mixed_bfloat16", "float64"])
def test_other_precisions(policy):
    keras.utils.set_random_seed(0)
    layers = [keras.layers.Dense(4, "tanh", dtype=policy), keras.layers.Dense(1, dtype=policy)]
    model = keras.Sequential([keras.Input((3,)), *layers])
    trainer = HessianFree(model, cg_iterations=5)
    trainer.compile(loss="mse", run_eagerly=True)
    losses = trainer.fit(X, X @ LINEAR, batch_size=N, epochs=3, verbose=0).history["loss"]
    assert losses[-1] < 0.7 * losses[0]


def test_embeddings_recurrent_layers_and_several_outputs():
    keras.utils.set_random_seed(0)
    words = np.random.default_rng(0).integers(0, 5, (N, 4))
    inputs = keras.Input((4,), dtype="int32")
    hidden = keras.layers.GRU(3)(keras.layers.Embedding(5, 2)(inputs))
    kind = keras.layers.Dense(3, "softmax", name="kind")(hidden)
    size = keras.layers.Dense(1, name="size")(hidden)
    trainer = HessianFree(keras.Model(inputs, {"kind": kind, "size": size}), cg_iterations=5)
    trainer.compile(loss={"kind": "sparse_categorical_crossentropy", "size": "mse"})
    y = {"kind": words[:, 0] % 3, "size": words[:, 1:2].astype("float32")}
    history = trainer.fit(words, y, batch_size=N, epochs=8, verbose=0).history
    assert history["loss"][-1] < 0.5 * history["loss"][0]
    total = np.add(history["kind_loss"], history["size_loss"])
    np.testing.assert_allclose(history["loss"], total, rtol=1e-5)


# ------------------------------------------------------------------ bad input


@pytest.mark.parametrize(
    ("argument", "value"),
    [
        ("curvature", "fisher"),
        ("damping", 0.0),
        ("damping", float("nan")),
        ("damping", "small"),
        ("cg_iterations", 0),
        ("cg_iterations", 2.5),
        ("cg_tolerance", -1e-3),
        ("cg_tolerance", float("nan")),
        ("preconditioned", "yes"),
        ("seed", 1.5),
    ],
)
def test_bad_arguments(argument, value):
    with pytest.raises(ValueError, match=rf"`{argument}`.*Received: {argument}="):
        HessianFree(linear_model(), **{argument: value})


def test_bad_models():
    with pytest.raises(ValueError, match=r"must be a `keras\.Model`"):
        HessianFree(keras.layers.Dense(1))
    with pytest.raises(ValueError, match="must be built"):
        HessianFree(keras.Sequential([keras.layers.Dense(1)]))
    rolled = keras.Sequential([keras.Input((4, 2)), keras.layers.LSTM(3)])
    with pytest.raises(ValueError, match="unroll=True"):
        HessianFree(rolled, curvature="hessian")


def test_one_replica(mirrored_strategy):
    with mirrored_strategy.scope():
        trainer = HessianFree(linear_model())
        trainer.compile(loss="mse")
    with pytest.raises(ValueError, match="trains on one replica"):
        trainer.fit(X, X @ LINEAR, verbose=0)


@pytest.mark.parametrize("share", [0.0, -1.0, float("nan"), float("inf"), "sgd"])
def test_a_share_that_would_not_train_is_refused(share):
    model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(3, "softmax")])
    with pytest.raises(ValueError, match="share of each step"):
        HessianFree(model).compile(share, "sparse_categorical_crossentropy")


def test_a_model_whose_layers_are_all_frozen_is_refused():
    model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(3, "softmax")])
    model.trainable = False
    trainer = HessianFree(model)
    trainer.compile(loss="sparse_categorical_crossentropy")
    with pytest.raises(ValueError, match="nothing to train"):
        trainer.fit(np.zeros((8, 4)), np.zeros(8, int), verbose=0)
