"""`overfitting`: 1,000 images, with and without lambda, and when to stop (Nielsen, chapter 3).

784-30-10 from weights N(0, 1), rate 0.5, for 400 epochs; `NoImprovement` is asked afterwards on the
validation accuracies where it would have stopped. The full run has five seeds at once. In the
small version the penalty is as many times stronger as the run is shorter, so that the weights
shrink as far.
"""

from typing import Any, NamedTuple

import keras
import numpy as np
import numpy.typing as npt

from ...callbacks._figures import new_figure, style
from ...callbacks._palette import INK, MUTED, RUN_COLOURS
from ...callbacks.no_improvement import NoImprovement
from ..initializers import NaiveNormal
from ..replicate import Replicas, replicate
from ._bands import DASHES, band, epochs_below
from ._data import CLASSES, is_mnist, usable
from ._nielsen import BATCH, compiled, network
from .outcome import Outcome, Row, Setting

Doubles = npt.NDArray[np.float64]

_RATE, _LAMBDA, _EPOCHS, _QUICK_EPOCHS, _UNITS = 0.5, 0.1, 400, 40, 30
_IMAGES = {True: (1_000, 1_000, 2_000), False: (1_000, 10_000, 10_000)}  # by whether quick
_DIGITS = (500, 500, 360)
_TEXT = (82.23, 86.95)  # test accuracy without and with lambda
_WAITS = (10, 20, 30)
_TINY = 1e-7  # as in Keras


class Parts(NamedTuple):
    """`(x, y)` to train, to validate and to test; y is one-hot."""

    train: tuple[Any, Any]
    validation: tuple[Any, Any]
    test: tuple[Any, Any]
    name: str

    @property
    def of_the_text(self) -> bool:
        """Whether these are the text's own data, beside which its numbers belong."""
        return is_mnist(self.name)


class Course(NamedTuple):
    """Of one lambda, `[epochs, seeds]` each: accuracies in percent, costs without the penalty."""

    train_accuracy: Doubles
    validation_accuracy: Doubles
    test_accuracy: Doubles
    train_cost: Doubles
    test_cost: Doubles


def run(setting: Setting) -> Outcome:
    """Both runs, and where early stopping would have ended them."""
    data, seeds = _parts(setting), setting.seeds_or(5, quick=2)
    epochs = _QUICK_EPOCHS if setting.quick else _EPOCHS
    # 0.1 of 1,000 images; the penalty is lambda / (2 n).
    lam = _LAMBDA * len(data.train[0]) / 1_000 * _EPOCHS / epochs
    courses = {value: _course(value, seeds, data, epochs) for value in (0.0, lam)}
    published = data.of_the_text and not setting.quick
    return Outcome(
        rows=_rows(courses, published),
        told=_told(courses, data),
        summary={
            "data": data.name,
            "epochs": epochs,
            "curves": {
                f"lambda {value:g}": {name: one.tolist() for name, one in course._asdict().items()}
                for value, course in courses.items()
            },
        },
        figures={"overfitting": _figure(courses)},
    )


def _parts(setting: Setting) -> Parts:
    dataset = usable(setting.data)
    count, held, tested = _IMAGES[setting.quick] if len(dataset.x_train) > 20_000 else _DIGITS
    scale = max(1.0, float(dataset.x_train.max()))

    def part(x: Any, y: Any) -> tuple[Any, Any]:
        flat = x.reshape(len(x), -1).astype("float32") / scale
        return flat, keras.utils.to_categorical(y, CLASSES).astype("float32")

    return Parts(
        part(dataset.x_train[:count], dataset.y_train[:count]),
        part(dataset.x_train[-held:], dataset.y_train[-held:]),
        part(dataset.x_test[:tested], dataset.y_test[:tested]),
        dataset.name,
    )


def _course(lam: float, seeds: list[int], data: Parts, epochs: int) -> Course:
    x, y = data.train
    replicas = replicate(
        lambda seed: compiled(
            network(seed, [_UNITS], x.shape[1], len(x), lam, NaiveNormal()), _RATE
        ),
        seeds,
    )
    found: list[Any] = []
    replicas.fit(
        x, y, epochs=epochs, batch_size=BATCH,
        on_epoch_end=lambda *_: found.append(_looked_at(replicas, data)),
    )  # fmt: skip
    return Course(*(np.stack(same) for same in zip(*found, strict=True)))


def _looked_at(replicas: Replicas, data: Parts) -> tuple[Doubles, ...]:
    train, validation, test = (
        measures(replicas.predict(x), y) for x, y in (data.train, data.validation, data.test)
    )
    return train[0], validation[0], test[0], train[1], test[1]


def measures(outputs: Any, y: Any) -> tuple[Doubles, Doubles]:
    """Accuracy in percent and cross-entropy summed over the outputs, of each of the seeds.

    Args:
        outputs: `[seeds, n, classes]`, of sigmoid units.
        y: `[n, classes]`, one-hot.
    """
    right = outputs.argmax(axis=2) == y.argmax(axis=1)
    chance = np.clip(np.where(y > 0.5, outputs, 1 - outputs), _TINY, 1.0)
    costs: Doubles = -np.log(chance.astype("float64")).sum(axis=2).mean(axis=1)
    return 100 * right.mean(axis=1), costs


def stopped(accuracy: Doubles, wait: int) -> tuple[int, int]:
    """Where `NoImprovement(wait)` ends a run with these validation accuracies, and its best epoch.

    Both are counted from 0; the last epoch where it goes through.
    """
    stopper = NoImprovement(wait, mode="max", restore_best_weights=False)
    model = keras.Sequential()
    model.stop_training = False
    stopper.set_model(model)
    stopper.on_train_begin()
    for epoch, value in enumerate(accuracy):
        stopper.on_epoch_begin(epoch)
        stopper.on_epoch_end(epoch, {"val_accuracy": float(value)})
        if model.stop_training:
            break
    return epoch, int(stopper.best_epoch)


def stops(course: Course, wait: int) -> tuple[Doubles, Doubles]:
    """Epochs run, and test accuracy of the weights that are kept, of each of the seeds."""
    ends = [stopped(one, wait) for one in course.validation_accuracy.T]
    kept = [course.test_accuracy[best, seed] for seed, (_, best) in enumerate(ends)]
    return np.array([end + 1.0 for end, _ in ends]), np.array(kept)


# ------------------------------------------------------------------ what comes out


def _rows(courses: dict[float, Course], published: bool) -> list[Row]:
    rows = []
    for (lam, course), text in zip(courses.items(), _TEXT, strict=True):
        name, epochs = f"lambda {lam:g}", len(course.test_accuracy)
        said = text if published else None
        rows += [
            Row(what=f"{name}: test accuracy after epoch {epochs}", unit="%", text=said,
                ours=course.test_accuracy[-1].tolist()),
            Row(what=f"{name}: training accuracy there", unit="%",
                text=100.0 if published and not lam else None,
                ours=course.train_accuracy[-1].tolist()),
            Row(what=f"{name}: epoch of the lowest test cost",
                text=15.0 if published and not lam else None,
                ours=(course.test_cost.argmin(axis=0) + 1.0).tolist()),
        ]  # fmt: skip
    for lam, course in courses.items():
        for wait in _WAITS:
            at, kept = stops(course, wait)
            what = f"lambda {lam:g}, no improvement in {wait}"
            rows += [
                Row(what=f"{what}: epochs", ours=at.tolist()),
                Row(what=f"{what}: test accuracy", ours=kept.tolist(), unit="%"),
            ]
    return rows


def _told(courses: dict[float, Course], data: Parts) -> str:
    (_, plain), (lam, shrunk) = courses.items()
    gaps = [float((one.train_accuracy - one.test_accuracy)[-1].mean()) for one in (plain, shrunk)]
    gain = shrunk.test_accuracy[-1] - plain.test_accuracy[-1]
    helps = bool(gain.mean() > 0 and (len(gain) < 2 or gain.mean() > gain.std(ddof=1)))
    lowest, last = plain.test_cost.min(axis=0).mean(), plain.test_cost[-1].mean()
    worse = float(last / lowest - 1)
    at, kept = stops(plain, _WAITS[0])
    return (
        f"{len(data.train[0]):,} images of {data.name}: without lambda the training accuracy ends "
        f"{gaps[0]:.1f} points above the test's, and the test cost "
        + (f"rises again by {worse:.0%} from its lowest" if worse > 0.01 else "does not rise again")
        + f". That lambda {lam:g} helps {'holds' if helps else 'does not hold here'}: test "
        f"accuracy {gain.mean():+.1f} points, a gap of {gaps[1]:.1f}. No improvement in "
        f"{_WAITS[0]} stops after {at.mean():.0f} of {len(plain.test_accuracy)} epochs, at a test "
        f"accuracy {(kept - plain.test_accuracy[-1]).mean():+.1f} points from the full run's; "
        f"waiting for {_WAITS[-1]}, "
        f"{(stops(plain, _WAITS[-1])[1] - plain.test_accuracy[-1]).mean():+.1f}."
    )


def _figure(courses: dict[float, Course]) -> Any:
    figure = new_figure(5.6)
    upper, lower = figure.subplots(2, sharex=True)
    style(upper, "Accuracy", "%")
    style(lower, "Cost, without the penalty", "cross-entropy")
    for at, (lam, course) in enumerate(courses.items()):
        band(upper, course.train_accuracy, "", at, dashes=1)
        band(upper, course.test_accuracy, "", at, dashes=0)
        band(lower, course.train_cost, "", at, dashes=1)
        band(lower, course.test_cost, f"lambda {lam:g}", at, dashes=0)
        ends = [stopped(one, _WAITS[0])[0] for one in course.validation_accuracy.T]
        heights = [course.test_accuracy[end, seed] for seed, end in enumerate(ends)]
        upper.plot(np.add(ends, 1), heights, "v", color=RUN_COLOURS[at], ms=6, mec=INK, mew=0.7)
    lower.plot([], [], color=MUTED, ls=DASHES[0], label="test")
    lower.plot([], [], color=MUTED, ls=DASHES[1], label="training")
    lower.plot([], [], "v", color="none", mec=INK, ms=6, label=f"no improvement in {_WAITS[0]}")
    tests = [one.test_accuracy for one in courses.values()]
    upper.set_ylim(min(float(one[len(one) // 10 :].min()) for one in tests) - 4, 101)
    # Room for the legend above all curves.
    lower.set_ylim(0, 1.3 * max(float(one.test_cost.max()) for one in courses.values()))
    lower.legend(frameon=False, fontsize=8, loc="upper right", ncols=5, columnspacing=1.2)
    epochs_below(lower)
    return figure
