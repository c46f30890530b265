"""IDX files: plain, gzipped, cut short, too long, lying about their size."""

import gzip
import struct

import numpy as np
import pytest

from peerage.learning.data import load
from peerage.learning.data_mnist import NAMES, mnist, read_idx
from peerage_crypto.errors import InputError


def idx(array):
    return bytes((0, 0, 8, array.ndim)) + struct.pack(f">{array.ndim}I", *array.shape) + array.tobytes()


@pytest.fixture
def folder(tmp_path):
    images = np.arange(30 * 2 * 2, dtype=np.uint8).reshape(30, 2, 2)
    labels = (np.arange(30) % 10).astype(np.uint8)
    (tmp_path / NAMES[0]).write_bytes(idx(images))
    (tmp_path / f"{NAMES[1]}.gz").write_bytes(gzip.compress(idx(labels)))
    (tmp_path / f"{NAMES[2].replace('-idx', '.idx')}").write_bytes(idx(images[:10]))
    (tmp_path / f"{NAMES[3]}.gz").write_bytes(gzip.compress(idx(labels[:10])))
    return tmp_path


def test_plain_and_gzipped_files_are_flattened_and_scaled(folder):
    train, test = mnist(folder)
    assert train.features.shape == (30, 4)
    assert train.features[1, 1] == np.float32(5 / 255)
    assert test.labels.tolist() == list(range(10))
    assert train.classes == tuple("0123456789")


def test_the_first_rows_only(folder):
    assert len(mnist(folder, 12)[0]) == 12
    splits = load("mnist:20", 0, data_dir=str(folder))
    assert splits.validation is not None
    assert len(splits.train) + len(splits.validation) == 20


def test_a_missing_folder_or_file_is_named(folder):
    with pytest.raises(InputError, match="no folder"):
        mnist(folder / "elsewhere")
    (folder / NAMES[0]).unlink()
    with pytest.raises(InputError, match="neither train-images"):
        mnist(folder)


@pytest.mark.parametrize(
    ("blob", "sentence"),
    [
        (b"\0\0\x0d\x01" + bytes(8), "not an IDX file of unsigned bytes"),
        (b"PK\x03\x04", "not an IDX file"),
        (b"", "not an IDX file"),
        (b"\0\0\x08\x01\0\0", "cannot be read"),
        (b"\0\0\x08\x01\0\0\0\x05abc", "should hold 5 bytes after its header and holds 3"),
        (b"\0\0\x08\x01\0\0\0\x02abc", "holds more"),
        (b"\0\0\x08\x01\xff\xff\xff\xff", "at most"),
    ],
)
@pytest.mark.parametrize("packed", [False, True])
def test_a_malformed_file_is_refused(tmp_path, blob, sentence, packed):
    path = tmp_path / ("labels.gz" if packed else "labels")
    path.write_bytes(gzip.compress(blob) if packed else blob)
    with pytest.raises(InputError, match=sentence):
        read_idx(path, 1)


def test_a_damaged_gzip_is_refused(tmp_path):
    path = tmp_path / "labels.gz"
    path.write_bytes(gzip.compress(idx(np.arange(200, dtype=np.uint8)))[:-20])
    with pytest.raises(InputError, match="cannot be read"):
        read_idx(path, 1)


def test_images_and_labels_must_match(folder):
    (folder / f"{NAMES[1]}.gz").write_bytes(gzip.compress(idx(np.zeros(29, np.uint8))))
    with pytest.raises(InputError, match=r"30 images, .* 29 labels"):
        mnist(folder)
