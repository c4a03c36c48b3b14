"""`datasets.load`: the bundled digits, a file of one's own, and every refusal."""

import sys
import zipfile

import numpy as np
import pytest

from trainwell.recipes.datasets import Dataset, DatasetError, load

GOOD = {
    "x_train": np.arange(24, dtype=np.float64).reshape(4, 3, 2),
    "y_train": np.array([0, 1, 2, 0]),
    "x_test": np.zeros((2, 3, 2)),
    "y_test": np.array([2, 1]),
}


@pytest.fixture
def write(tmp_path):
    def write_it(**changes):
        arrays = {key: value for key, value in {**GOOD, **changes}.items() if value is not None}
        np.savez(tmp_path / "own.npz", **arrays)
        return tmp_path / "own.npz"

    return write_it


def test_digits():
    data = load("digits")
    assert isinstance(data, Dataset)
    assert (data.name, data.classes) == ("digits", 10)
    assert data.x_train.shape == (1437, 8, 8) and data.x_test.shape == (360, 8, 8)
    assert data.x_train.dtype == np.float32 and data.y_train.dtype == np.int64
    assert data.x_train.min() == 0 and data.x_train.max() == 1 == data.x_test.max()
    whole = np.concatenate([data.y_train, data.y_test])
    # The counts that UCI gives for its test set.
    assert np.bincount(whole).tolist() == [178, 182, 177, 183, 181, 182, 181, 179, 174, 180]
    assert np.bincount(data.y_test).min() >= 27


def test_digits_parts_share_no_image():
    data = load("digits")
    images = np.concatenate([data.x_train, data.x_test]).reshape(1797, -1)
    assert len(np.unique(images, axis=0)) == 1797
    assert np.array_equal(images * 16, np.round(images * 16))


def test_own_file_round_trip(write):
    data = load(write())
    assert (data.name, data.classes) == ("own", 3)
    assert np.array_equal(data.x_train, GOOD["x_train"]) and data.x_train.dtype == np.float32
    assert data.y_train.tolist() == [0, 1, 2, 0] and data.y_test.tolist() == [2, 1]
    assert load(str(write())).classes == 3


def test_only_bytes_are_scaled(write):
    pixels = np.full((4, 3, 2), 255, np.uint8)
    assert load(write(x_train=pixels)).x_train.max() == 1
    assert load(write(x_train=pixels.astype(np.int64))).x_train.max() == 255


def test_whole_floats_and_columns_are_classes(write):
    column = np.array([[0.0], [1.0], [2.0], [0.0]], np.float32)
    assert load(write(y_train=column)).y_train.tolist() == [0, 1, 2, 0]
    assert load(write(y_test=np.array([False, True]))).y_test.tolist() == [0, 1]


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"x_test": None, "y_test": None}, "x_train, y_train, without x_test, y_test"),
        ({"x_train": np.array([[1], "a"] * 2, dtype=object)}, "pickle runs code"),
        ({"x_train": np.full((4, 6), "a")}, "real numbers. Received: dtype <U1"),
        ({"x_train": np.zeros((5, 3, 2))}, "Received: 5 inputs and 4 classes"),
        ({"y_test": np.array([1])}, "Received: 2 inputs and 1 classes"),
        ({"x_test": np.zeros((2, 2, 3))}, "(3, 2) and (2, 3). Reshape"),
        ({"x_train": np.zeros((0, 3, 2)), "y_train": np.zeros(0)}, "Received: shape (0, 3, 2)"),
        ({"x_train": np.zeros(4)}, "x.reshape(-1, 1)"),
        ({"x_train": np.full((4, 3, 2), np.nan)}, "Received: 24 values"),
        ({"x_train": np.full((4, 3, 2), 1e300)}, "Received: 24 values"),
        ({"y_train": np.array([0, 1, -1, 2])}, "Received: -1. Number them"),
        ({"y_train": np.array([0, 1.5, 2, np.nan])}, "Received: 1.5, nan. Number them"),
        ({"y_train": np.array([0, 1, 2, 10_000])}, "Received: 10000. Number them"),
        ({"y_train": np.array(["a", "b", "c", "d"])}, "dtype <U1. Number them"),
        ({"y_train": np.eye(4)}, "y.argmax(axis=1)"),
        ({"y_train": np.zeros(4), "y_test": np.zeros(2)}, "only class 0"),
    ],
)
def test_refused_arrays(write, changes, words):
    with pytest.raises(DatasetError) as refused:
        load(write(**changes))
    assert words in str(refused.value) and "\n" not in str(refused.value)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (None, "No such file or directory"),
        (b"", "damaged or of another kind"),
        (b"1,2,3\n", "damaged or of another kind"),
        (b"PK\x03\x04 cut off", "damaged or of another kind"),
    ],
)
def test_refused_files(tmp_path, content, words):
    path = tmp_path / "own.npz"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(DatasetError, match=words):
        load(path)


def test_refuses_a_folder_a_single_array_and_a_damaged_member(tmp_path, write):
    (tmp_path / "folder.npz").mkdir()
    with pytest.raises(DatasetError, match="Is a directory"):
        load(tmp_path / "folder.npz")
    with (tmp_path / "single.npz").open("wb") as file:
        np.save(file, np.zeros(3))
    with pytest.raises(DatasetError, match="a single array"):
        load(tmp_path / "single.npz")
    path = write(x_train=np.ones((4, 300, 2)))
    content = bytearray(path.read_bytes())
    with zipfile.ZipFile(path) as archive:
        start = archive.getinfo("x_train.npy").header_offset
    content[start + 1000] ^= 255
    path.write_bytes(content)
    with pytest.raises(DatasetError, match="`x_train` is damaged"):
        load(path)


def test_unknown_name():
    with pytest.raises(DatasetError, match=r"Received: 'mnits'\. Did you mean 'mnist'"):
        load("mnits")


@pytest.mark.parametrize("name", ["mnist", "fashion_mnist"])
def test_downloaded(name, monkeypatch):
    import keras

    images, labels = np.full((3, 28, 28), 255, np.uint8), np.array([0, 9, 4], np.uint8)
    loader = getattr(keras.datasets, name)
    monkeypatch.setattr(loader, "load_data", lambda: ((images, labels), (images[:2], labels[:2])))
    data = load(name)
    assert (data.name, data.classes, data.x_test.shape) == (name, 10, (2, 28, 28))
    assert data.x_train.max() == 1

    def offline():
        raise Exception("URL fetch failure on https://example.org:\n None -- no route")

    monkeypatch.setattr(loader, "load_data", offline)
    with pytest.raises(DatasetError) as refused:
        load(name)
    assert "URL fetch failure" in str(refused.value) and "pass its path" in str(refused.value)
    assert "\n" not in str(refused.value)


def test_needs_no_keras():
    import subprocess

    code = (
        "import sys; from trainwell.recipes.datasets import load; load('digits');"
        "sys.exit('keras' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
