"""Arrays and pictures from files, none of them a pickle; and rows that are for testing are for nothing else."""

import pickle
import struct
import zipfile
import zlib
from pathlib import Path

import numpy as np
import pytest
from msgspec.structs import replace

from peerage.config import DataSettings, Federation
from peerage.config_toml import federation_hash
from peerage.launch.agree import agreed
from peerage.learning import data_arrays
from peerage.learning.common_scale import my_statistics
from peerage.learning.data import Dataset, load
from peerage.learning.data_csv import Schema, csv_schema
from peerage.learning.data_folder import read_picture
from peerage.learning.data_png import SIGNATURE, read_png
from peerage.learning.factory import is_factory
from peerage.learning.learner import Rows, rows_of
from peerage_crypto.errors import InputError

DRAWS = np.random.default_rng(0)


def refusal(path: Path, kind: str = "npz") -> str:
    with pytest.raises(InputError) as caught:
        load(f"{kind}:{path}", 0)
    return str(caught.value)


def test_arrays_keep_their_shape_bytes_become_shades_and_the_owners_test_rows_stay_test_rows(tmp_path: Path) -> None:
    path = tmp_path / "all.npz"
    pictures = DRAWS.integers(0, 256, (20, 6, 5), dtype=np.uint8)
    labels = np.arange(20) % 3
    np.savez_compressed(path, features=pictures, labels=labels, test_features=pictures[:4], test_labels=labels[:4])
    splits = load(f"npz:{path}", 0)
    assert splits.train.input_shape == (6, 5)
    assert np.array_equal(splits.train.features, pictures.astype(np.float32) / np.float32(255))
    assert (len(splits.train), len(splits.test), splits.validation) == (20, 4, None)
    np.savez(path, features=pictures.astype(float), labels=np.array(["no", "yes"])[labels % 2])
    cut = load(f"npz:{path}", 0)
    assert (len(cut.train), len(cut.test), cut.train.classes) == (16, 4, ("no", "yes"))
    assert load(f"npz:{path}", 0, classes=("maybe", "no", "yes")).train.labels.min() == 1


class Evil:
    def __reduce__(self) -> tuple[object, tuple[str]]:
        return exec, ("raise SystemExit('a pickle was executed')",)


def test_a_pickle_is_never_opened(tmp_path: Path) -> None:
    path = tmp_path / "evil.npz"
    np.savez(path, features=np.array([Evil(), Evil()], dtype=object), labels=np.array([0, 1]))
    assert "pickle" in refusal(path)
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("features.npy", pickle.dumps(Evil()))
    assert "cannot be read" in refusal(path)


def test_a_header_is_believed_only_as_far_as_the_file_reaches(tmp_path: Path) -> None:
    path = tmp_path / "liar.npz"
    head = b"{'descr': '<f8', 'fortran_order': False, 'shape': (1000000000000, 8), }"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("features.npy", b"\x93NUMPY\x01\x00" + struct.pack("<H", len(head)) + head)
    assert "of them" in refusal(path)


@pytest.mark.parametrize(
    ("arrays", "says"),
    [
        ({"labels": [0, 1]}, "'features'"),
        ({"features": np.zeros((3, 2)), "labels": [0, 1]}, "do not belong together"),
        ({"features": np.zeros((2, 2)), "labels": [0, 1], "test_labels": [0]}, "partner"),
        ({"features": np.full((2, 2), np.nan), "labels": [0, 1]}, "CSV table"),
        ({"features": np.zeros((2, 2)), "labels": [0.5, 1]}, "number the classes"),
        ({"features": np.zeros((2, 2)), "labels": [0, 0]}, "1 classes"),
        ({"features": np.array([["a"], ["b"]]), "labels": [0, 1]}, "float32 or uint8"),
    ],
)
def test_arrays_that_do_not_fit_are_refused_with_what_would(tmp_path: Path, arrays: dict, says: str) -> None:
    path = tmp_path / "odd.npz"
    np.savez(path, **{name: np.asarray(one) for name, one in arrays.items()})
    assert says in refusal(path)


def test_more_than_memory_is_refused_before_it_is_unpacked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(data_arrays, "LARGEST", 1000)
    path = tmp_path / "large.npz"
    np.savez_compressed(path, features=np.zeros((100, 10)), labels=np.zeros(100, int))
    assert "at most 1000" in refusal(path)


def png(pixels: np.ndarray, colour: int, filters: tuple[int, ...], palette: bytes = b"") -> bytes:
    """(rows, columns, channels) written by the book, with the given filter in each line by turns."""
    rows, columns, channels = pixels.shape
    plain, lines = pixels.reshape(rows, -1).astype(int), b""
    for row in range(rows):
        kind, coded = filters[row % len(filters)], []
        for at in range(columns * channels):
            left = plain[row, at - channels] if at >= channels else 0
            up = plain[row - 1, at] if row else 0
            corner = plain[row - 1, at - channels] if row and at >= channels else 0
            p = left + up - corner
            d = (abs(p - left), abs(p - up), abs(p - corner))
            paeth = left if d[0] <= d[1] and d[0] <= d[2] else up if d[1] <= d[2] else corner
            coded.append((plain[row, at] - (0, left, up, (left + up) // 2, paeth)[kind]) % 256)
        lines += bytes([kind, *coded])
    parts = [(b"IHDR", struct.pack(">IIBBBBB", columns, rows, 8, colour, 0, 0, 0)), (b"PLTE", palette)]
    parts += [(b"IDAT", half) for half in (zlib.compress(lines)[:9], zlib.compress(lines)[9:])] + [(b"IEND", b"")]
    chunks = [
        struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data)) for kind, data in parts
    ]
    return SIGNATURE + b"".join(chunks)


@pytest.mark.parametrize(("colour", "channels"), [(0, 1), (2, 3), (4, 2), (6, 4)])
@pytest.mark.parametrize("filters", [(0,), (1,), (2,), (3,), (4,), (4, 3, 2, 1, 0)])
def test_a_png_is_the_pixels_that_were_written(colour: int, channels: int, filters: tuple[int, ...]) -> None:
    pixels = DRAWS.integers(0, 256, (7, 5, channels), dtype=np.uint8)
    found = read_png(png(pixels, colour, filters), "it")
    wanted = pixels[:, :, 0] if channels < 3 else pixels[:, :, :3].transpose(2, 0, 1)
    assert np.array_equal(found, wanted)


def test_a_palette_gives_colours_and_what_is_no_whole_png_is_refused() -> None:
    palette = bytes([10, 20, 30, 40, 50, 60])
    found = read_png(png(np.array([[[1], [0]]], np.uint8), 3, (0,), palette), "it")
    assert found[:, 0, 0].tolist() == [40, 50, 60]
    whole = png(DRAWS.integers(0, 256, (4, 4, 1), dtype=np.uint8), 0, (4,))
    deep = whole.replace(struct.pack(">IIB", 4, 4, 8), struct.pack(">IIB", 4, 4, 16))
    for broken in (
        b"",
        whole[:30],
        whole[:50],
        deep,
        whole.replace(struct.pack(">II", 4, 4), struct.pack(">II", 9**9, 9)),
    ):
        with pytest.raises(InputError):
            read_png(broken, "it")


def test_a_folder_of_pictures_has_its_classes_by_name(tmp_path: Path) -> None:
    for part, count in (("train", 6), ("test", 2)):
        for name in ("cat", "dog"):
            (tmp_path / part / name).mkdir(parents=True)
            for n in range(count):
                shade = np.full((4, 4, 1), 10 * n + (name == "dog"), np.uint8)
                (tmp_path / part / name / f"{n}.png").write_bytes(png(shade, 0, (0,)))
    (tmp_path / "train" / "cat" / "notes.txt").write_text("not a picture")
    (tmp_path / "train" / "cat" / "grey.pgm").write_bytes(b"P5\n# made by hand\n4 4\n255\n" + bytes(range(16)))
    splits = load(f"folder:{tmp_path}", 0)
    assert (len(splits.train), len(splits.test), splits.train.classes) == (13, 4, ("cat", "dog"))
    assert splits.train.input_shape == (4, 4)
    (tmp_path / "train" / "cat" / "wide.pgm").write_bytes(b"P5 8 4 255\n" + bytes(32))
    assert "one size" in refusal(tmp_path, "folder")
    (tmp_path / "train" / "cat" / "wide.pgm").write_bytes(b"P5 8 4 255\n" + bytes(31))
    assert "holds 31" in refusal(tmp_path, "folder")
    (tmp_path / "p.ppm").write_bytes(b"P6 1 2 255\n" + bytes([255, 0, 51] * 2))
    assert read_picture(tmp_path / "p.ppm")[:, 1, 0].tolist() == [1, 0, np.float32(0.2)]
    assert "no folder" in refusal(tmp_path / "none", "folder")


def test_a_path_is_no_factory_and_no_rule_of_the_federation(tmp_path: Path) -> None:
    assert not is_factory("folder:pictures")
    assert not is_factory("npz:some.where:rows")
    path = tmp_path / "rows.npz"
    np.savez(path, features=np.zeros((12, 3)), labels=np.arange(12) % 2)
    federation = agreed(Federation(data=DataSettings(source=f"npz:{path}")))
    assert federation.data.classes == ("0", "1")
    elsewhere = replace(federation, data=replace(federation.data, source="npz:/srv/other.npz"))
    assert federation_hash(elsewhere) == federation_hash(federation)


# -- rows for testing ------------------------------------------------------------------------------------------------


def marked(rows: Dataset) -> set[float]:
    return set(rows.features[:, 0].tolist())


@pytest.mark.parametrize("validation", ["shared", "private"])
@pytest.mark.parametrize("source", ["csv", "npz"])
def test_a_test_row_is_never_trained_on_measured_on_or_part_of_the_common_scale(
    tmp_path: Path, source: str, validation: str
) -> None:
    """Every row carries its own number: what peers learn from, hold back, publish and add up has none of a test row."""
    path = tmp_path / f"rows.{source}"
    if source == "csv":
        path.write_text("number,size,y\n" + "".join(f"{n},{n % 7},{'ab'[n % 2]}\n" for n in range(400)))
    else:
        np.savez(path, features=np.stack([np.arange(400), np.arange(400) % 7], axis=1), labels=np.arange(400) % 2)
    donor = "peer-02" if validation == "shared" else ""
    data = DataSettings(source=f"{source}:{path}", label="y", validation=validation, validation_donor=donor)
    federation = agreed(Federation(peers=4, data=data))
    everybody: list[Rows] = [rows_of(federation, index, "honest") for index in range(4)]
    tested = marked(everybody[0].test)
    seen: set[float] = set()
    for rows in everybody:
        assert marked(rows.test) == tested
        parts = [marked(rows.own), marked(rows.held_out)]
        for part in parts:
            assert not part & (seen | tested)
            seen |= part
    public = everybody[0].validation
    if public is not None:
        assert not marked(public) & (seen | tested)
        seen |= marked(public)
    assert len(seen) + len(tested) == 400
    if source == "csv":
        schema = Schema.from_json(federation.data.columns)
        assert schema == csv_schema(path, "y")
        sums = sum(
            float(my_statistics(rows.own, schema)[2]) for rows in everybody
        )  # count, count, sum of `number`, ...
        assert sums == pytest.approx(sum(sum(marked(rows.own)) for rows in everybody))
