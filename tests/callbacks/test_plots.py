import time
from io import BytesIO

import numpy as np
import pytest
from matplotlib.text import Text

from trainwell.callbacks import TrainingRecord, plot_gradient_norms, plot_learning_speed
from trainwell.callbacks._depth_profiles import spread
from trainwell.callbacks._figures import plain, short_names
from trainwell.callbacks._palette import COLOURS
from trainwell.callbacks._rows import Rows
from trainwell.callbacks._series import bin_centers, binned, running_geometric_mean
from trainwell.callbacks.plots import plot_depth_profiles


def record_of(kernels, biases=None, *, names=None, loss=None, steps_per_epoch=5):
    """A record with kernel-gradient norms `[S, L]`; the biases', if any, are of the same shape."""
    kernels = np.asarray(kernels, np.float32)
    names = names or [f"hidden_{i + 1}" for i in range(kernels.shape[1] - 1)] + ["output"]
    parts = {"kernel": kernels} | ({} if biases is None else {"bias": np.asarray(biases)})
    columns = [
        {"path": f"{name}/{part}", "layer": name, "part": part, "shape": [1], "size": 1}
        | {"connected": True}
        for part in parts
        for name in names
    ]
    group = Rows("gradients", columns, ("gradient_norm",))
    record = TrainingRecord()
    record.add_group(group)
    rows = group.empty(len(kernels))
    rows["step"] = np.arange(len(kernels))
    rows["epoch"] = rows["step"] // steps_per_epoch
    rows["loss"] = np.nan if loss is None else loss
    rows["gradient_norm"] = np.concatenate(list(parts.values()), axis=1)
    record.append("gradients", rows)
    return record


def random_norms(steps, layers, seed=0):
    return np.random.default_rng(seed).lognormal(size=(steps, layers)).astype(np.float32)


def lines(axes):
    """Lines by the id that the plot gave them."""
    return {line.get_gid(): line for line in axes.lines if line.get_gid()}


def test_gradient_norms_draws_each_layers_numbers():
    record = record_of(random_norms(12, 4), loss=np.arange(12))
    figure = plot_gradient_norms(record)
    above, below = figure.axes
    expected = record.by_layer("gradient_norm", part="kernel")
    assert above.get_yscale() == "log"
    assert set(lines(above)) == {"hidden_1", "hidden_2", "hidden_3", "output"}
    for at, layer in enumerate(record.layers):
        np.testing.assert_array_equal(lines(above)[layer].get_ydata(), expected[:, at])
        np.testing.assert_array_equal(lines(above)[layer].get_xdata(), record.steps)
    np.testing.assert_array_equal(lines(below)["loss"].get_ydata(), np.arange(12))


def test_gradient_norms_has_no_loss_panel_without_a_loss():
    assert len(plot_gradient_norms(record_of(random_norms(3, 2))).axes) == 1


def test_gradient_norms_takes_a_part():
    record = record_of(np.ones((3, 2)), biases=np.full((3, 2), 0.25))
    axes = plot_gradient_norms(record, part="bias").axes[0]
    np.testing.assert_array_equal(lines(axes)["output"].get_ydata(), [0.25] * 3)


def test_zeros_lie_on_a_marked_line_below_every_other_value():
    norms = np.full((6, 2), 1e-30)
    norms[2:4, 0] = 0
    axes = plot_gradient_norms(record_of(norms)).axes[0]
    drawn = lines(axes)["hidden_1"].get_ydata()
    floor = lines(axes)["zero"].get_ydata()[0]
    assert 0 < floor < np.float32(1e-30)
    np.testing.assert_array_equal(drawn[2:4], floor)
    np.testing.assert_array_equal(lines(axes)["zeros"].get_xdata(), [2, 3])
    assert "0" in [text.get_text() for text in axes.texts]
    assert axes.get_ylim()[0] < floor


def test_zeros_are_marked_where_the_median_of_their_bin_is_not_zero():
    norms = np.ones((10_000, 2))
    norms[5_000, 0] = 0
    axes = plot_gradient_norms(record_of(norms)).axes[0]
    np.testing.assert_array_equal(lines(axes)["zeros"].get_xdata(), [5_000])


def test_non_finite_steps_are_marked_and_leave_a_gap():
    norms = np.ones((8, 2))
    norms[3, 0], norms[5, 1] = np.nan, np.inf
    axes = plot_gradient_norms(record_of(norms)).axes[0]
    np.testing.assert_array_equal(lines(axes)["non-finite"].get_xdata(), [3, 5])
    assert [t.get_text() for t in axes.texts] == ["non-finite at step 3 and 1 more"]
    np.testing.assert_array_equal(np.isnan(lines(axes)["output"].get_ydata()), np.arange(8) == 5)


@pytest.mark.parametrize("value", [0, np.nan, np.inf])
def test_all_values_the_same_trouble_still_draw(value):
    record = record_of(np.full((4, 3), value))
    plot_gradient_norms(record).savefig(BytesIO(), format="svg")
    plot_depth_profiles({"net": record}).savefig(BytesIO(), format="svg")


def test_200_layers_and_20_000_steps_draw_fast_and_small():
    record = record_of(random_norms(20_000, 200), loss=1.0, steps_per_epoch=1000)
    file, started = BytesIO(), time.perf_counter()
    figure = plot_gradient_norms(record)
    figure.savefig(file, format="svg")
    assert time.perf_counter() - started < 10
    assert len(file.getvalue()) < 2e6
    assert len(lines(figure.axes[0])) == 200
    labels = [label.get_text() for label in figure.axes[-1].get_yticklabels()]
    assert (labels[0], labels[-1]) == ("1 hidden_1", "200 output")


def test_bins_hold_the_median_and_the_extremes_of_finite_values():
    values = random_norms(23, 3).astype(np.float64)
    values[4, 0] = np.inf
    values[5:10, 1] = np.nan
    finite = np.where(np.isfinite(values), values, np.nan)
    middle, low, high = binned(values, 5)
    for at in range(5):
        rows = finite[at * 5 : at * 5 + 5]
        for column in range(3):
            kept = rows[~np.isnan(rows[:, column]), column]
            got = middle[at, column], low[at, column], high[at, column]
            wanted = (np.median(kept), kept.min(), kept.max()) if len(kept) else (np.nan,) * 3
            np.testing.assert_allclose(got, wanted)
    np.testing.assert_array_equal(bin_centers(np.arange(23), 5), [2, 7, 12, 17, 21])


def test_running_geometric_mean():
    values = np.array([[1.0, 0.0], [10.0, 0.0], [100.0, 4.0], [np.nan, 9.0]])
    expected = [[10**0.5, 0], [10, 4], [1000**0.5, 6], [np.nan, 6]]
    np.testing.assert_allclose(running_geometric_mean(values, 3), expected)
    assert running_geometric_mean(values, 1) is values


def test_learning_speed_draws_the_biases_of_hidden_layers():
    biases = random_norms(20, 4, seed=1)
    figure = plot_learning_speed(record_of(random_norms(20, 4), biases), smooth=1)
    axes = figure.axes[0]
    assert axes.get_yscale() == "log"
    assert list(lines(axes)) == ["hidden_1", "hidden_2", "hidden_3"]
    for at, line in enumerate(lines(axes).values()):
        np.testing.assert_array_equal(line.get_ydata(), biases[:, at])
    assert [t.get_text() for t in figure.legends[0].get_texts()] == list(lines(axes))


def test_learning_speed_says_how_much_faster_the_last_layer_learns():
    # Nielsen's network of four hidden layers at epoch 0.
    norms = [[0.00298, 0.0171, 0.0695, 0.2851, 1.0]]
    title = plot_learning_speed(record_of(norms, norms)).axes[0].get_title("left")
    assert title == "At first hidden_4 learns 95.7 times as fast as hidden_1"


def test_learning_speed_smooths_and_keeps_the_raw_norms_behind():
    biases = random_norms(50, 3)
    axes = plot_learning_speed(record_of(biases, biases), smooth=5).axes[0]
    smooth = np.exp(np.log(biases[8:13, 0].astype(np.float64)).mean())
    assert lines(axes)["hidden_1"].get_ydata()[10] == pytest.approx(smooth)
    raw = [line.get_ydata() for line in axes.lines if line.get_alpha() == 0.25]
    np.testing.assert_array_equal(raw, biases[:, :2].T)


def test_learning_speed_without_biases_is_that_of_the_kernels():
    norms = random_norms(5, 3)
    record = record_of(norms)
    axes = plot_learning_speed(record, smooth=1).axes[0]
    assert list(lines(axes)) == ["hidden_1", "hidden_2"]
    np.testing.assert_array_equal(lines(axes)["hidden_1"].get_ydata(), norms[:, 0])
    with pytest.raises(ValueError, match="leave `part` out"):
        plot_learning_speed(record, part="bias")


def test_depth_profiles_draws_each_networks_first_finite_step():
    deep, shallow = random_norms(3, 6), random_norms(3, 3, seed=1)
    deep[0, 2] = np.inf  # float16 overflowed: the step was skipped
    axes = plot_depth_profiles({"deep": record_of(deep), "shallow": record_of(shallow)}).axes[0]
    assert axes.get_yscale() == "log"
    np.testing.assert_array_equal(lines(axes)["deep"].get_ydata(), deep[1])
    np.testing.assert_array_equal(lines(axes)["shallow"].get_ydata(), shallow[0])
    np.testing.assert_array_equal(lines(axes)["shallow"].get_xdata(), [1, 2, 3])
    assert {text.get_text() for text in axes.texts} == {"deep", "shallow"}


def test_labels_of_equal_lines_do_not_overlap():
    runs = {f"network {i}": record_of(np.ones((1, 4))) for i in range(8)}
    figure = plot_depth_profiles(runs)
    figure.savefig(BytesIO(), format="png")
    # An annotation's own extent would include the line to its point.
    boxes = [Text.get_window_extent(label) for label in figure.axes[0].texts]
    assert min(np.diff(sorted(box.y0 for box in boxes))) >= boxes[0].height


def test_spread_keeps_the_order_and_the_gap():
    np.testing.assert_allclose(spread([0.5, 0.5], 0.1, 0, 1), [0.45, 0.55])
    np.testing.assert_allclose(spread([0.9, 0.1, 1.0], 0.2, 0, 1), [0.8, 0.1, 1.0])
    np.testing.assert_allclose(spread([0.0] * 3, 9.0, 0, 1), [0, 0.5, 1])


def test_names_are_shown_as_they_are():
    figure = plot_gradient_norms(record_of(np.ones((2, 2)), names=["_a$x$", "b"]))
    figure.savefig(BytesIO(), format="svg")
    assert [t.get_text() for t in figure.legends[0].get_texts()] == [r"_a\$x\$", "b"]
    assert short_names(["net/block/a", "net/block/b"]) == ["a", "b"]
    assert short_names(["net/a", "b"]) == ["net/a", "b"]
    assert len(plain("x" * 100)) == 28


def test_empty_records_are_refused():
    for empty in (TrainingRecord(), record_of(np.empty((0, 3)), np.empty((0, 3)))):
        for plot in (plot_gradient_norms, plot_learning_speed):
            with pytest.raises(ValueError, match=r"no step has run yet.*model\.fit"):
                plot(empty)
        with pytest.raises(ValueError, match="no step has run yet"):
            plot_depth_profiles({"net": empty})
    with pytest.raises(ValueError, match="at least one record"):
        plot_depth_profiles({})


@pytest.mark.parametrize(
    ("options", "message"),
    [({"smooth": 0}, "smooth=0"), ({"points": 0}, "points=0"), ({"part": "other"}, "part=")],
)
def test_bad_values_are_refused(options, message):
    record = record_of(np.ones((2, 3)), np.ones((2, 3)))
    with pytest.raises(ValueError, match=message):
        plot_learning_speed(record, **options)


@pytest.mark.parametrize(("dark", "page"), [(0, "#ffffff"), (1, "#15181d")])
def test_lines_stand_out_from_both_pages(dark, page):
    def luminance(colour):
        channels = np.array([int(colour[i : i + 2], 16) for i in (1, 3, 5)]) / 255
        # WCAG's, without the linear piece of the sRGB curve near black.
        return channels**2.2 @ [0.2126, 0.7152, 0.0722] + 0.05

    for name, pair in COLOURS.items():
        if name not in ("page", "rule"):
            low, high = sorted([luminance(pair[dark]), luminance(page)])
            assert high / low > 2.1, name
