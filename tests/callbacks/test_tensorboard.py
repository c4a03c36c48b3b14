"""TensorBoard logs: read back by TensorBoard itself, from the files and from its server."""

import io
import json
import shutil
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.parse
import urllib.request

import keras
import numpy as np
import pytest
import tensorflow as tf
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tensorboard.plugins.histogram.metadata import PLUGIN_NAME as HISTOGRAMS
from tensorboard.plugins.scalar.metadata import PLUGIN_NAME as SCALARS
from tensorboard.summary.writer.record_writer import RecordWriter
from tensorboard.util.tensor_util import make_ndarray

from trainwell.callbacks import GradientNorms, TrainingRecord, write_tensorboard
from trainwell.callbacks._event_file import framed
from trainwell.callbacks._rows import Rows


def read(folder):
    return EventAccumulator(str(folder), {"scalars": 0, "tensors": 0}).Reload()


def series(events, tag):
    """Steps `[n]` and values `[n, ...]` of a tag."""
    if tag in events.Tags()["scalars"]:
        found = events.Scalars(tag)
        return [one.step for one in found], np.array([one.value for one in found], np.float32)
    found = events.Tensors(tag)
    return [one.step for one in found], np.array([make_ndarray(one.tensor_proto) for one in found])


def tags(events, plugin=SCALARS):
    try:
        return sorted(events.PluginTagToContent(plugin))
    except KeyError:
        return []


def fitted(*callbacks, hidden=2, fits=1):
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(48, 5)).astype("float32"), rng.integers(0, 3, 48)
    keras.utils.set_random_seed(1)
    dense = [keras.layers.Dense(4, "tanh", name=f"hidden_{at + 1}") for at in range(hidden)]
    model = keras.Sequential([keras.Input((5,)), *dense, keras.layers.Dense(3, name="output")])
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile("sgd", loss)
    for _ in range(fits):
        model.fit(x, y, batch_size=8, epochs=2, verbose=0, callbacks=list(callbacks))
    return model


def rows_of(group, norms, epoch=0):
    """Rows `[S]` from gradient norms `[S, V]`."""
    rows = group.empty(len(norms))
    rows["step"], rows["epoch"] = np.arange(len(norms)) * group.every, epoch
    rows["loss"], rows["learning_rate"] = np.linspace(1, 0, len(norms)), 0.1
    rows[group.statistics[0]] = norms
    return rows


def record_of(norms, connected=None, parts=("kernel",), epoch=0):
    """A record made by hand: of layers `layer_0`, ..., with variables named after their parts."""
    columns = [
        {"path": f"layer_{at // len(parts)}/{part}", "layer": f"layer_{at // len(parts)}",
         "part": part, "shape": [2], "size": 2, "connected": True}
        for at, part in enumerate(parts * (np.shape(norms)[1] // len(parts)))
    ]  # fmt: skip
    for at in connected or ():
        columns[at]["connected"] = False
    record = TrainingRecord()
    group = record.add_group(Rows("gradients", columns, ("gradient_norm",)))
    record.append("gradients", rows_of(group, norms, epoch))
    return record


# ---------------------------------------------------------------------- while training


@pytest.mark.parametrize("every", [1, 3])
def test_every_recorded_step_has_its_exact_numbers(tmp_path, every):
    monitor = GradientNorms(every, ("weight_norm",), directory=tmp_path)
    fitted(monitor, fits=2)
    record, events = monitor.record, read(tmp_path / "gradients")
    assert len(record.steps) == 24 // every
    norms = record["gradient_norm"].astype(np.float64)
    expected = {
        "loss": record.loss,
        "learning_rate": record.learning_rate,
        "gradient_norm": np.sqrt((norms**2).sum(axis=1)),
        "gradient_ratio": record.gradient_ratio(),
    }
    for statistic in ("gradient_norm", "weight_norm"):
        values = record.by_layer(statistic)
        expected |= {f"{statistic}/{name}": values[:, i] for i, name in enumerate(record.layers)}
    for tag, values in expected.items():
        steps, written = series(events, tag)
        assert steps == record.steps.tolist(), tag
        if tag == "gradient_norm":
            np.testing.assert_allclose(written, values, rtol=1e-6)
        else:
            np.testing.assert_array_equal(written, values, err_msg=tag)
    assert tags(events) == sorted([*expected, "weight_norm"])


def test_an_epoch_has_a_histogram_of_each_layer(tmp_path):
    monitor = GradientNorms(directory=tmp_path)
    fitted(monitor)
    record, events = monitor.record, read(tmp_path / "gradients")
    assert tags(events, HISTOGRAMS) == sorted(f"log10_gradient_norm/{x}" for x in record.layers)
    for at, layer in enumerate(record.layers):
        steps, buckets = series(events, f"log10_gradient_norm/{layer}")
        assert steps == [5, 11]
        for epoch in range(2):
            of_epoch = record.by_layer("gradient_norm")[record.epoch == epoch, at]
            logs = np.log10(of_epoch.astype(np.float64))
            left, right, counts = buckets[epoch].T
            np.testing.assert_allclose([left[0], right[-1]], [logs.min(), logs.max()])
            np.testing.assert_array_equal(counts, np.histogram(logs, bins=30)[0])
    for tag, start in (("log10_gradient_norm/hidden_1", "log10 of the "), ("gradient_norm", "")):
        words = events.SummaryMetadata(tag).summary_description
        assert words.startswith(f"{start}L2 norm of the gradient")


def test_wall_times_lie_within_the_training(tmp_path):
    began = time.time()
    fitted(GradientNorms(directory=tmp_path))
    times = [event.wall_time for event in read(tmp_path / "gradients").Scalars("loss")]
    assert began <= times[0] and times[-1] <= time.time() and times == sorted(set(times))


def test_another_record_is_another_run(tmp_path):
    for _ in range(2):
        fitted(GradientNorms(directory=tmp_path))
    for name in ("gradients", "gradients-2"):
        assert series(read(tmp_path / name), "loss")[0] == list(range(12))
        assert len(TrainingRecord.load(tmp_path / f"{name}.record").steps) == 12


@pytest.mark.parametrize("log_layers", [False, True])
def test_a_deep_network_does_not_drown_the_dashboard(tmp_path, log_layers):
    fitted(GradientNorms(log_layers=log_layers, directory=tmp_path), hidden=30)
    events = read(tmp_path / "gradients")
    layers = [tag for tag in tags(events) if tag.startswith("gradient_norm/")]
    assert len(layers) == len(tags(events, HISTOGRAMS)) == (31 if log_layers else 16)
    assert {"gradient_norm/hidden_1", "gradient_norm/output"} <= set(layers)


def test_a_loop_of_ones_own_has_no_loss_to_show_and_one_histogram(tmp_path):
    model = fitted(GradientNorms())
    with GradientNorms(directory=tmp_path).watch(model.optimizer, model) as monitor:
        for step in range(5):
            gradients = [tf.ones(v.shape) * (step + 1) for v in model.trainable_variables]
            model.optimizer.apply(gradients, model.trainable_variables)
            assert len(monitor.record.steps) == step + 1  # reading it ends no histogram
    events = read(tmp_path / "gradients")
    assert "loss" not in tags(events)
    np.testing.assert_allclose(  # a kernel 5x4 and a bias of 4, all of them step + 1
        series(events, "gradient_norm/hidden_1")[1], np.sqrt(24) * np.arange(1, 6), rtol=1e-6
    )
    assert series(events, "log10_gradient_norm/hidden_1")[0] == [4]


# ---------------------------------------------------------------------- what can go wrong


def test_a_directory_deleted_while_training_costs_one_warning(tmp_path):
    class Deletes(keras.callbacks.Callback):
        def on_epoch_begin(self, epoch, logs=None):
            if epoch == 1:
                shutil.rmtree(tmp_path / "logs" / "gradients")

    monitor = GradientNorms(directory=tmp_path / "logs")
    with pytest.warns(UserWarning, match="TensorBoard") as caught:
        fitted(monitor, Deletes())
    ours = [str(one.message) for one in caught if "TensorBoard" in str(one.message)]
    assert len(ours) == 1 and "the record without its TensorBoard logs" in ours[0]
    assert len(monitor.record.steps) == 12 and len(monitor.record.epochs) == 2
    assert len(TrainingRecord.load(tmp_path / "logs" / "gradients.record").steps) == 12


def test_a_full_disk_costs_one_warning_and_what_was_written_stays_readable(tmp_path, monkeypatch):
    written = []

    def full_from_the_second_epoch_on(events):
        if len(written) >= 6:
            raise OSError(28, "No space left on device")
        written.extend(events)
        return framed(events)

    monkeypatch.setattr("trainwell.callbacks._event_file.framed", full_from_the_second_epoch_on)
    monitor = GradientNorms(directory=tmp_path)
    with pytest.warns(UserWarning, match="any longer .OSError: .Errno 28. No space"):
        fitted(monitor)
    assert len(monitor.record.steps) == 12
    assert series(read(tmp_path / "gradients"), "loss")[0] == [0, 1, 2, 3, 4, 5]


def test_nan_infinity_and_zero_are_written_but_for_histograms(tmp_path):
    norms = np.array([[1.0], [np.nan], [np.inf], [0.0], [100.0]])
    write_tensorboard(record_of(norms), tmp_path)
    events = read(tmp_path / "gradients")
    np.testing.assert_array_equal(series(events, "gradient_norm/layer_0")[1], norms[:, 0])
    np.testing.assert_array_equal(series(events, "gradient_norm")[1], norms[:, 0])
    [buckets] = series(events, "log10_gradient_norm/layer_0")[1]
    assert buckets[:, 2].sum() == 2 and buckets[0, 0] == 0 and buckets[-1, 1] == 2


def test_a_layer_without_any_finite_norm_has_no_histogram(tmp_path):
    write_tensorboard(record_of(np.full((3, 2), np.nan)), tmp_path)
    assert tags(read(tmp_path / "gradients"), HISTOGRAMS) == []


def test_a_disconnected_layer_has_no_curve(tmp_path):
    norms = np.array([[3.0, np.nan, 4.0]] * 2)
    write_tensorboard(record_of(norms, connected=[1]), tmp_path)
    events = read(tmp_path / "gradients")
    assert "gradient_norm/layer_1" not in tags(events)
    assert series(events, "gradient_norm")[1].tolist() == [5.0, 5.0]


# ---------------------------------------------------------------------- exported afterwards


def test_a_saved_record_gives_the_same_log(tmp_path):
    fitted(GradientNorms(directory=tmp_path / "live"))
    record = TrainingRecord.load(tmp_path / "live" / "gradients.record")
    write_tensorboard(record, tmp_path / "after")
    live, after = read(tmp_path / "live" / "gradients"), read(tmp_path / "after" / "gradients")
    for plugin in (SCALARS, HISTOGRAMS):
        assert tags(live, plugin) == tags(after, plugin)
        for tag in tags(live, plugin):
            np.testing.assert_array_equal(series(live, tag)[1], series(after, tag)[1])
            assert series(live, tag)[0] == series(after, tag)[0]


def test_the_layers_shown_are_evenly_spaced_by_depth_and_have_kernels(tmp_path):
    # 31 pairs of a layer with a kernel and a normalization without one.
    record = record_of(np.ones((2, 62)))
    for column in record.groups["gradients"].columns[1::2]:
        column["part"] = "other"
    write_tensorboard(record, tmp_path)
    shown = [tag for tag in tags(read(tmp_path / "gradients")) if "/" in tag]
    depths = sorted(int(tag.rpartition("_")[2]) for tag in shown)
    assert depths == list(range(0, 61, 4))  # every second kernel


def test_other_groups_are_laid_out_alike(tmp_path):
    columns = [{"path": name, "layer": name} for name in ("relu_1", "relu_2")]
    record = record_of(np.ones((4, 2)))
    group = record.add_group(Rows("activations", columns, ("dead_fraction",), every=10))
    shares = np.array([[0.0, 0.25], [0.0, 0.5], [0.5, 1.0]])
    record.append("activations", rows_of(group, shares))
    write_tensorboard(record, tmp_path)
    events = read(tmp_path / "activations")
    expected = ["dead_fraction/relu_1", "dead_fraction/relu_2", "learning_rate", "loss"]
    assert tags(events) == expected
    steps, values = series(events, "dead_fraction/relu_2")
    assert steps == [0, 10, 20] and values.tolist() == [0.25, 0.5, 1.0]
    [buckets] = series(events, "epoch_dead_fraction/relu_2")[1]
    assert (buckets[0, 0], buckets[-1, 1], buckets[:, 2].sum()) == (0.25, 1.0, 3)
    assert series(read(tmp_path / "gradients"), "loss")[0] == [0, 1, 2, 3]


def test_a_long_record_without_epochs_has_a_histogram_in_a_thousand_steps(tmp_path, monkeypatch):
    monkeypatch.setattr("trainwell.callbacks.tensorboard._ROWS_AT_ONCE", 500)
    write_tensorboard(record_of(np.ones((2500, 1)), epoch=-1), tmp_path)
    events = read(tmp_path / "gradients")
    assert series(events, "loss")[0] == list(range(2500))
    assert series(events, "log10_gradient_norm/layer_0")[0] == [999, 1999, 2499]


def test_it_raises_rather_than_mix_two_logs(tmp_path):
    write_tensorboard(record_of(np.ones((2, 1))), tmp_path)
    with pytest.raises(FileExistsError, match=r"would mix .* which has 'gradients'"):
        write_tensorboard(record_of(np.ones((2, 1))), tmp_path)


def test_an_empty_record_raises(tmp_path):
    with pytest.raises(ValueError, match="The record is empty"):
        write_tensorboard(TrainingRecord(), tmp_path)


@pytest.mark.parametrize("number", [0, 1, 31, 32, 100])
def test_events_are_framed_as_tensorboard_does(number):
    rng = np.random.default_rng(number)
    events = [rng.bytes(int(length)) for length in rng.integers(4, 300, number)]
    file = io.BytesIO()
    for event in events:
        RecordWriter(file).write(event)
    assert framed(events) == file.getvalue()


def test_writing_loads_no_tensorflow(tmp_path):
    record_of(np.ones((2, 1))).save(tmp_path / "run.record")
    code = (
        "import sys; from trainwell.callbacks import TrainingRecord, write_tensorboard\n"
        "write_tensorboard(TrainingRecord.load('run.record'), '.')\n"
        "assert 'tensorflow' not in sys.modules and 'keras' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True, cwd=tmp_path)
    assert series(read(tmp_path / "gradients"), "loss")[0] == [0, 1]


# ---------------------------------------------------------------------- a real server


@pytest.fixture
def server(tmp_path):
    """A function that asks a TensorBoard server on `tmp_path`, within a minute."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "tensorboard.main", "--logdir", tmp_path]
    options = ["--host", "127.0.0.1", "--port", str(port), "--reload_interval", "1"]
    log = (tmp_path / "server.txt").open("wb")
    process = subprocess.Popen([*command, *options], stdout=log, stderr=log)
    deadline = time.monotonic() + 60

    def ask(path, **query):
        """The answer, as soon as there is one."""
        while time.monotonic() < deadline and process.poll() is None:
            try:
                url = f"http://127.0.0.1:{port}/data/{path}?{urllib.parse.urlencode(query)}"
                with urllib.request.urlopen(url, timeout=10) as answer:
                    if found := json.load(answer):
                        return found
            except urllib.error.URLError:
                pass
            time.sleep(0.2)
        log.flush()
        pytest.fail(f"No answer to {path}:\n{(tmp_path / 'server.txt').read_text()}")

    yield ask
    process.kill()
    process.wait()
    log.close()


def test_a_real_server_shows_scalars_and_histograms(tmp_path, server):
    norms = np.array([[3.0, 4.0], [30.0, 40.0], [0.3, np.nan]], np.float32)
    write_tensorboard(record_of(norms), tmp_path / "run")
    assert server("runs") == ["run/gradients"]
    shown = {
        "loss",
        "learning_rate",
        "gradient_norm",
        "gradient_norm/layer_0",
        "gradient_norm/layer_1",
    }
    assert set(server("plugin/scalars/tags")["run/gradients"]) == shown
    query = {"run": "run/gradients", "tag": "gradient_norm"}
    points = server("plugin/scalars/scalars", **query)
    assert [(step, value) for _, step, value in points] == [(0, 5.0), (1, 50.0), (2, "NaN")]
    tag = "log10_gradient_norm/layer_0"
    described = server("plugin/histograms/tags")["run/gradients"][tag]["description"]
    assert "log10 of the L2 norm of the gradient" in described
    [[_, step, buckets]] = server("plugin/histograms/histograms", run="run/gradients", tag=tag)
    assert step == 2 and sum(count for _, _, count in buckets) == 3
