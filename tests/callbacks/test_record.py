"""`TrainingRecord`: reading, thinning, saving, and files that were cut off or damaged."""

import csv
import os
import signal
import subprocess
import sys
import time

import numpy as np
import pytest

from trainwell.callbacks import TrainingRecord
from trainwell.callbacks._rows import CLIPPED, SKIPPED, Rows

COLUMNS = [
    {"path": path, "layer": path.split("/")[0], "part": path.split("/")[1], "size": size,
     "shape": [size], "connected": connected}
    for path, size, connected in [
        ("a/kernel", 3, True), ("a/bias", 1, True), ("b/kernel", 2, True), ("c/kernel", 1, False),
        ("out/kernel", 5, True), ("out/bias", 1, True),
    ]
]  # fmt: skip


def record_of(steps, statistics=("gradient_norm", "zero_fraction"), **options):
    record = TrainingRecord({"name": "net"}, {"inputs": 3}, **options)
    record.add_group(Rows("gradients", COLUMNS, statistics))
    append(record, steps)
    return record


def append(record, steps):
    rows = record.groups["gradients"].empty(len(steps))
    rows["step"] = steps
    rows["loss"] = np.asarray(steps) / 2
    rows["learning_rate"] = 0.1
    for statistic in record.statistics:
        rows[statistic] = np.asarray(steps)[:, None] + np.arange(6.0)
    rows["flags"][:1] = SKIPPED
    rows["flags"][1:2] = CLIPPED
    record.append("gradients", rows)


def test_arrays_have_the_promised_shapes_types_and_values():
    record = record_of([0, 1, 2])
    assert record.steps.dtype == np.int64 and record.steps.tolist() == [0, 1, 2]
    assert record["gradient_norm"].dtype == np.float32
    assert record["gradient_norm"][2].tolist() == [2, 3, 4, 5, 6, 7]
    assert record.loss.tolist() == [0, 0.5, 1]
    assert record.variables[:2] == ("a/kernel", "a/bias") and record.layers == (
        "a",
        "b",
        "c",
        "out",
    )
    assert record.skipped.tolist() == [True, False, False]
    assert record.clipped.tolist() == [False, True, False]


def test_by_layer_combines_norms_as_roots_of_squares_and_shares_by_size():
    record = record_of([3])  # values 3 .. 8
    norms = record.by_layer("gradient_norm")[0]
    np.testing.assert_allclose(norms, [5, 5, np.nan, np.hypot(7, 8)], rtol=1e-7)  # 3-4-5
    shares = record.by_layer("zero_fraction")[0]
    np.testing.assert_allclose(shares, [(3 * 3 + 4) / 4, 5, np.nan, (5 * 7 + 8) / 6], rtol=1e-6)
    biases = record.by_layer("gradient_norm", part="bias")[0]
    np.testing.assert_array_equal(biases, [4, np.nan, np.nan, 8])


def test_norms_of_a_layer_do_not_underflow():
    record = record_of([0])
    record["gradient_norm"][0, :2] = [3e-30, 4e-30]
    np.testing.assert_allclose(record.by_layer("gradient_norm")[0, 0], 5e-30, rtol=1e-6)


def test_gradient_ratio_is_first_over_last_hidden_connected_kernel():
    record = record_of([3])
    assert record.hidden_kernels() == ["a", "b"]  # c is disconnected, out is the output
    np.testing.assert_allclose(record.gradient_ratio(), [3 / 5], rtol=1e-7)


def test_an_unknown_statistic_names_the_known_ones_and_the_way_out():
    with pytest.raises(KeyError, match=r"only 'gradient_norm', 'zero_fraction'.*statistics="):
        record_of([0])["update_norm"]
    with pytest.raises(ValueError, match=r"Received: part='weights'"):
        record_of([0]).by_layer("gradient_norm", part="weights")


def test_an_empty_record_says_so():
    with pytest.raises(ValueError, match="The record is empty"):
        TrainingRecord().steps  # noqa: B018


def test_a_statistic_costs_four_bytes_a_variable_and_a_row_25_more():
    group = record_of(range(100)).groups["gradients"]
    assert group.nbytes == 100 * (25 + 2 * 4 * 6)


def test_past_its_limit_a_record_doubles_its_stride_and_says_so():
    row = 25 + 2 * 4 * 6
    record = record_of(range(8), memory_limit=10 * row)
    with pytest.warns(UserWarning, match="keeps one row in 2 steps"):
        append(record, range(8, 16))
    assert record.steps.tolist() == [0, 2, 4, 6, 8, 10, 12, 14]
    append(record, range(16, 19))
    assert record.steps.tolist() == [0, 2, 4, 6, 8, 10, 12, 14, 16, 18]
    with pytest.warns(UserWarning, match="one row in 4 steps"):
        append(record, range(19, 22))
    assert record.steps.tolist() == [0, 4, 8, 12, 16, 20]


def test_a_streamed_record_keeps_on_disk_what_memory_dropped(tmp_path):
    record = TrainingRecord(memory_limit=4 * 73)
    record.stream_to(tmp_path / "stream.record")
    record.add_group(Rows("gradients", COLUMNS, ("gradient_norm", "zero_fraction")))
    with pytest.warns(UserWarning, match="the stream on disk keeps all"):
        for step in range(8):
            append(record, [step])
    record.add_epoch({"epoch": 0, "loss": float("nan")})
    assert len(record.steps) <= 4
    read = TrainingRecord.load(tmp_path / "stream.record")
    assert read.steps.tolist() == list(range(8)) and not read.truncated
    assert np.isnan(read.epochs[0]["loss"])


def test_save_and_load_give_back_everything(tmp_path):
    record = record_of(range(5))
    record["gradient_norm"][1, 2] = np.nan
    record.add_epoch({"epoch": 0, "fit": 0, "loss": 0.25})
    record.save(tmp_path / "run.record")
    read = TrainingRecord.load(tmp_path / "run.record")
    assert read.groups["gradients"].data.tobytes() == record.groups["gradients"].data.tobytes()
    assert read.groups["gradients"].description() == record.groups["gradients"].description()
    assert (read.epochs, read.network, read.data) == (record.epochs, record.network, record.data)
    assert not read.truncated


def test_a_file_cut_off_anywhere_gives_all_its_whole_rows(tmp_path):
    record = record_of(range(20))
    record.save(tmp_path / "whole.record")
    whole = (tmp_path / "whole.record").read_bytes()
    row = record.groups["gradients"].dtype.itemsize + 4  # and its checksum
    assert len(whole) > 20 * row
    start_of_rows = len(whole) - 20 * row
    for cut in range(len(b"trainwell-record-1\n"), len(whole)):
        path = tmp_path / "cut.record"
        path.write_bytes(whole[:cut])
        read = TrainingRecord.load(path)
        expected = max(0, (cut - start_of_rows) // row)
        rows = len(read.groups["gradients"].data) if read.groups else 0
        assert rows == expected, cut


def test_a_damaged_row_is_left_out_and_told(tmp_path):
    record = record_of(range(20))
    path = tmp_path / "run.record"
    record.save(path)
    content = bytearray(path.read_bytes())
    row = record.groups["gradients"].dtype.itemsize + 4
    content[-7 * row + 30] ^= 0xFF
    path.write_bytes(content)
    read = TrainingRecord.load(path)
    assert read.steps.tolist() == [step for step in range(20) if step != 13]
    assert read.truncated and "truncated" in repr(read)


def test_a_flipped_bit_anywhere_raises_nothing_and_gives_no_wrong_row(tmp_path):
    record = record_of(range(20))
    path = tmp_path / "run.record"
    record.save(path)
    whole = path.read_bytes()
    right = {row.tobytes() for row in record.groups["gradients"].data}
    for at in range(len(b"trainwell-record-1\n"), len(whole), 3):
        damaged = bytearray(whole)
        damaged[at] ^= 1 << at % 8
        path.write_bytes(damaged)
        read = TrainingRecord.load(path)
        assert read.truncated
        for group in read.groups.values():
            assert {row.tobytes() for row in group.data} <= right


def test_what_is_not_a_record_is_refused(tmp_path):
    (tmp_path / "x.record").write_bytes(b"\x80\x04pickle")
    with pytest.raises(ValueError, match="is not a trainwell record"):
        TrainingRecord.load(tmp_path / "x.record")
    with pytest.raises(FileNotFoundError):
        TrainingRecord.load(tmp_path / "nothing.record")


def test_a_failed_save_leaves_the_last_file_and_no_other(tmp_path, monkeypatch):
    record_of(range(3)).save(tmp_path / "run.record")
    monkeypatch.setattr(os, "fsync", lambda _: (_ for _ in ()).throw(OSError("No space left")))
    with pytest.raises(OSError, match="No space left"):
        record_of(range(9)).save(tmp_path / "run.record")
    assert len(TrainingRecord.load(tmp_path / "run.record").steps) == 3
    assert [path.name for path in tmp_path.iterdir()] == ["run.record"]


KILLED_WHILE_SAVING = """
import sys
from trainwell.callbacks import TrainingRecord
from trainwell.callbacks._rows import Rows
column = dict(path="a/kernel", layer="a", part="kernel", size=1, shape=[1], connected=True)
record = TrainingRecord()
record.add_group(Rows("gradients", [column] * 50, ("gradient_norm",)))
rows = record.groups["gradients"].empty(20000)
for save in range(10**6):
    rows["step"] = save
    record.groups["gradients"]._chunks = [rows]
    record.save(sys.argv[1])
    print(save, flush=True)
"""


@pytest.mark.parametrize("delay", [0.003, 0.011, 0.019, 0.027])
def test_killed_while_saving_the_last_record_still_loads(tmp_path, delay):
    path = tmp_path / "run.record"
    process = subprocess.Popen(
        [sys.executable, "-c", KILLED_WHILE_SAVING, path], stdout=subprocess.PIPE, text=True
    )
    saved = int(process.stdout.readline())
    time.sleep(delay)  # into one of the next saves
    process.send_signal(signal.SIGKILL)
    rest = process.communicate()[0].split()
    saved = int(rest[-1]) if rest else saved
    read = TrainingRecord.load(path)
    assert not read.truncated and len(read.steps) == 20000
    assert set(read.steps) <= {saved, saved + 1} and len(set(read.steps)) == 1


def test_csv_and_data_frame_hold_the_same_table(tmp_path):
    pandas = pytest.importorskip("pandas")
    record = record_of([0, 5])
    record.to_csv(tmp_path / "table.csv")
    with (tmp_path / "table.csv").open() as file:
        lines = list(csv.DictReader(file))
    assert lines[1]["step"] == "5" and lines[1]["gradient_norm:b/kernel"] == "7.0"
    assert lines[0]["skipped"] == "True" and lines[1]["clipped"] == "True"
    frame = record.to_frame()
    assert isinstance(frame, pandas.DataFrame) and frame.index.tolist() == [0, 5]
    assert frame.loc[5, "zero_fraction:out/bias"] == 10
