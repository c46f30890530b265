"""Tables: what is agreed, what is refused, and standardising by sums that equals standardising by rows."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from peerage.learning.data import Dataset
from peerage.learning.data_csv import MISSING, Schema, csv_schema, read_csv, standardise, standardiser, statistics
from peerage_crypto.errors import InputError

TABLE = """age,ward,pulse,id,risk
30,east,70,a1,low
41,west,,a2,high
?,east,90,a3,low
52,,80,a4,high
60,east,NA,a5,low
"""


@pytest.fixture
def table(tmp_path):
    path = tmp_path / "ward.csv"
    path.write_text(TABLE)
    return path


def test_a_schema_sorts_classes_and_tells_numbers_from_categories(table):
    schema = csv_schema(table, "risk")
    assert schema.classes == ("high", "low")
    assert [(column.name, column.scale) for column in schema.numeric] == [("age", 6), ("pulse", 7)]
    assert [(column.name, column.values) for column in schema.categorical] == [("ward", ("east", "west", MISSING))]
    assert schema.ignored == ("id",)
    assert schema.width == 5


def test_a_schema_survives_the_federation_file(table):
    schema = csv_schema(table, "risk")
    assert Schema.from_json(schema.to_json()) == schema
    with pytest.raises(InputError, match="not a schema"):
        Schema.from_json('{"label": 3}')


def test_rows_are_scaled_numbers_then_categories(table):
    dataset = read_csv(table, csv_schema(table, "risk"))
    assert dataset.labels.tolist() == [1, 0, 1, 0, 1]
    assert dataset.features[0].tolist() == [30 / 64, 70 / 128, 1, 0, 0]
    assert np.isnan(dataset.features[1, 1])
    assert np.isnan(dataset.features[2, 0])
    assert dataset.features[3, 2:].tolist() == [0, 0, 1]


def test_numeric_labels_are_sorted_as_numbers_and_read_as_numbers(tmp_path):
    path = tmp_path / "t.csv"
    path.write_text("x,y\n" + "".join(f"{k},{k % 3 * 5}\n" for k in range(12)) + "3,5.0\n")
    schema = csv_schema(path, "y")
    assert schema.classes == ("0", "5", "10")
    assert read_csv(path, schema).labels[-1] == 1


def test_semicolons_and_a_byte_order_mark(tmp_path):
    path = tmp_path / "t.csv"
    path.write_text("﻿x;y\n1,5;a\n2;b\n3;a\n4;b\n".replace("1,5", "1.5"), encoding="utf-8")
    assert csv_schema(path, "y").numeric[0].name == "x"


def test_an_unknown_category_is_all_zeros_and_extra_columns_are_left_alone(table, tmp_path):
    schema = csv_schema(table, "risk")
    other = tmp_path / "other.csv"
    other.write_text("risk,note,ward,pulse,age\nlow,hm,north,60,20\n")
    assert read_csv(other, schema).features[0].tolist() == [20 / 64, 60 / 128, 0, 0, 0]


@pytest.mark.parametrize(
    ("text", "label", "sentence"),
    [
        ("a,b\n1,2\n", "", "--label must name"),
        ("a,b\n1,2\n", "c", "no column 'c'.*a, b"),
        ("a,a\n1,2\n", "a", "different column names"),
        ("a\n1\n", "a", "at least two"),
        ("", "a", "header row"),
        ("a,b\n1,2\n1\n", "b", "line 3 has 1 cells, the header 2"),
        ("a,b\n1,x\n2,x\n", "b", "needs two"),
        ("a,b\n" + "".join(f"1,{k}.5\n" for k in range(9)), "b", "measurement or an identifier"),
        ("a,b\n,x\n,y\n", "b", "no column besides"),
        ('a,b\n"1,x\n', "b", "cannot be read as CSV"),
    ],
)
def test_a_bad_table_is_one_sentence(tmp_path, text, label, sentence):
    path = tmp_path / "t.csv"
    path.write_text(text)
    with pytest.raises(InputError, match=sentence):
        csv_schema(path, label)


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("age,ward,pulse,risk\n1,east,2,medium\n", "line 2: risk is 'medium'"),
        ("age,ward,pulse,risk\n1,east,2,\n", "line 2: risk is ''"),
        ("age,ward,pulse,risk\nold,east,2,low\n", "line 2: age is 'old', which is not a number"),
        ("age,ward,pulse,risk\n99999,east,2,low\n", "far beyond the agreed range of .-1024"),
        ("age,pulse,risk\n1,2,low\n", "lacks the agreed column.s. 'ward'"),
        ("age,ward,pulse,risk\n", "no rows"),
    ],
)
def test_a_table_against_the_schema_is_refused(table, tmp_path, text, sentence):
    path = tmp_path / "t.csv"
    path.write_text(text)
    with pytest.raises(InputError, match=sentence):
        read_csv(path, csv_schema(table, "risk"))


def test_not_utf8_and_not_there(tmp_path):
    path = tmp_path / "t.csv"
    path.write_bytes(b"a,b\n\xff\xfe,1\n")
    with pytest.raises(InputError, match="UTF-8"):
        csv_schema(path, "b")
    with pytest.raises(InputError, match="no file"):
        csv_schema(tmp_path / "none.csv", "b")


@settings(max_examples=40, deadline=None)
@given(
    st.lists(
        st.lists(st.floats(-1, 1, width=32) | st.just(float("nan")), min_size=2, max_size=9), min_size=2, max_size=5
    )
)
def test_sums_of_parts_standardise_like_all_rows_together(parts):
    schema = Schema.from_json('{"label":"y","classes":["a"],"numeric":[{"name":"x","scale":0}]}')
    datasets = [Dataset(np.array(part, np.float32)[:, None], np.zeros(len(part), np.int64), ("a",)) for part in parts]
    agreed = standardiser(np.sum([statistics(dataset, schema) for dataset in datasets], axis=0))
    everything = np.concatenate([np.array(part, np.float64) for part in parts])
    present = everything[np.isfinite(everything)]
    result = np.concatenate([standardise(dataset, agreed).features[:, 0] for dataset in datasets])
    assert np.isfinite(result).all()
    assert (result[~np.isfinite(everything)] == 0).all()
    if len(present) and present.std() > 1e-3:
        expected = (present - present.mean()) / present.std()
        assert np.allclose(result[np.isfinite(everything)], expected, atol=1e-3)


def test_a_constant_and_an_empty_column_do_no_harm():
    schema = Schema.from_json('{"label":"y","classes":["a"],"numeric":[{"name":"c","scale":0},{"name":"e","scale":0}]}')
    rows = Dataset(np.array([[0.7, np.nan]] * 5, np.float32), np.zeros(5, np.int64), ("a",))
    agreed = standardiser(statistics(rows, schema))
    assert agreed.spread == (1.0, 1.0)
    assert np.abs(standardise(rows, agreed).features).max() < 1e-6
