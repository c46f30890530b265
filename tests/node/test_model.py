"""Model to vector and back, layouts that differ, own factories, and files people open."""

from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.numpy import save
from torch import nn

from peerage.config_toml import parse_federation
from peerage.launch.agree import agreed
from peerage.learning.architectures import first_model
from peerage.learning.model import (
    build,
    canonical_bytes,
    describe_difference,
    from_canonical,
    from_vector,
    layout,
    layout_hash,
    load_safetensors,
    parameter_mask,
    save_safetensors,
    size,
    to_vector,
)
from peerage_crypto.errors import InputError

EXAMPLE = Path(__file__).parents[2] / "examples"


def with_norm():
    return nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4), nn.Linear(4, 2))


def test_the_default_models_have_the_declared_sizes():
    assert len(to_vector(build((64,), 10, 0))) == 4810
    assert len(to_vector(build((784,), 10, 0, hidden=128))) == 784 * 128 + 128 + 128 * 10 + 10
    assert build((8, 8), 10, 0)(torch.zeros(2, 8, 8)).shape == (2, 10)


def test_the_seed_decides_the_first_bytes_and_leaves_the_global_generator_alone():
    torch.manual_seed(5)
    expected = torch.rand(1)
    torch.manual_seed(5)
    one, same, other = (canonical_bytes(to_vector(build((64,), 10, seed))) for seed in (0, 0, 1))
    assert torch.equal(torch.rand(1), expected)
    assert one == same != other


def test_vector_and_model_are_inverse_and_counters_stay_local():
    model = with_norm()
    vector = np.arange(size(layout(model)), dtype=np.float32)
    from_vector(model, vector)
    assert np.array_equal(to_vector(model), vector)
    assert [name for name, _ in layout(model)][2:6] == ["1.weight", "1.bias", "1.running_mean", "1.running_var"]
    assert parameter_mask(model).sum() == size(layout(model)) - 8
    to_vector(model)[:] = 0  # a copy
    assert to_vector(model)[1] == 1.0


def test_a_variance_below_zero_is_lifted():
    model = with_norm()
    from_vector(model, np.full(size(layout(model)), -1e-4, np.float32))
    assert torch.isfinite(model.eval()(torch.zeros(1, 3))).all()


def test_a_vector_of_another_length_is_refused():
    with pytest.raises(ValueError, match="does not fit"):
        from_vector(with_norm(), np.zeros(3, np.float32))


def test_layouts_agree_by_name_shape_and_order():
    one, two = layout(build((64,), 10, 0)), layout(build((64,), 10, 9))
    other = layout(build((64,), 10, 0, hidden=65))
    assert layout_hash(one) == layout_hash(two) != layout_hash(other)
    assert describe_difference(one, two) == ""
    assert "1.weight has shape (64, 64) here" in describe_difference(one, other)
    assert describe_difference(one, one[:-1]) == "4 entries here, 3 there."


def test_canonical_bytes_are_little_endian_float32():
    vector = np.array([1.0, -2.5], np.float32)
    assert canonical_bytes(vector) == bytes.fromhex("0000803f000020c0")
    assert np.array_equal(from_canonical(canonical_bytes(vector), 2), vector)
    with pytest.raises(ValueError, match="7 bytes are not 2 floats"):
        from_canonical(bytes(7), 2)


def test_safetensors_hold_named_tensors(tmp_path):
    model = with_norm()
    path = tmp_path / "model.safetensors"
    save_safetensors(path, layout(model), to_vector(model), {"round": "3"})
    assert np.array_equal(load_safetensors(path, layout(model)), to_vector(model))
    with pytest.raises(InputError, match=r"has 1\.weight of shape \(4,\)"):
        load_safetensors(path, layout(build((64,), 10, 0)))
    path.write_bytes(b"nothing")
    with pytest.raises(InputError, match="cannot be read as safetensors"):
        load_safetensors(path, layout(model))


def test_a_file_of_other_shapes_or_without_numbers_is_refused_by_name(tmp_path):
    model, path = build((64,), 10, 0), tmp_path / "model.safetensors"
    wide = build((64,), 10, 0, hidden=32)
    save_safetensors(path, layout(wide), to_vector(wide))
    with pytest.raises(InputError, match=r"has 1\.weight of shape \(32, 64\), and the model of these settings"):
        load_safetensors(path, layout(model))
    save_safetensors(path, layout(model), np.full(size(layout(model)), np.nan, np.float32))
    with pytest.raises(InputError, match="not finite"):
        load_safetensors(path, layout(model))
    path.write_bytes(save({name: np.zeros(shape, np.int32) for name, shape in layout(model)}))
    with pytest.raises(InputError, match=r"has 1\.weight as int32, and a model holds floats"):
        load_safetensors(path, layout(model))


def test_a_federation_begins_from_a_file_and_everybody_has_its_numbers(tmp_path):
    path, given = tmp_path / "model.safetensors", np.arange(4810, dtype=np.float32)
    save_safetensors(path, layout(build((64,), 10, 0)), given)
    started = parse_federation(f'peers = 3\n[model]\nstart = "{path}"\n', where="here")
    assert np.array_equal(to_vector(first_model(started, (64,), 10)), given)
    (tmp_path / "run").mkdir()
    with pytest.raises(InputError, match=r"there is no .*run/model\.safetensors: model\.start names"):
        agreed(parse_federation(f'peers = 3\n[model]\nstart = "{tmp_path}/run"\n', where="here"))
    path.rename(tmp_path / "run" / "model.safetensors")
    kept = agreed(parse_federation(f'peers = 3\n[model]\nstart = "{tmp_path}/run"\n', where="here"))
    assert kept.model.start == str(tmp_path / "run" / "model.safetensors")


def test_the_example_model_runs_and_is_ten_lines():
    model = build((64,), 10, 0, factory="own_model.py:build", folder=EXAMPLE)
    assert model(torch.zeros(5, 64)).shape == (5, 10)
    assert model.training
    code = (EXAMPLE / "own_model.py").read_text().split("def build", 1)[1]
    assert len([line for line in code.splitlines() if line.strip()]) <= 10


@pytest.mark.parametrize(
    ("body", "sentence"),
    [
        ("return 3", "returned int, not a torch.nn.Module"),
        ("return nn.Linear(5, classes)", "does not take rows of shape"),
        ("return nn.Linear(*input_shape, 9)", r"answers 2 rows with \(2, 9\); it should answer \(2, 10\)"),
        ("return nn.Unflatten(1, (10,))", "does not take rows|floating-point"),
    ],
)
def test_a_model_that_cannot_work_is_refused_at_once(tmp_path, body, sentence):
    (tmp_path / "own.py").write_text(f"from torch import nn\ndef make(input_shape, classes):\n    {body}\n")
    with pytest.raises(InputError, match=sentence):
        build((64,), 10, 0, factory="own.py:make", folder=tmp_path)


def test_batchnorm_learns_nothing_from_the_trial_pass(tmp_path):
    (tmp_path / "own.py").write_text(
        "from torch import nn\n"
        "def make(input_shape, classes):\n"
        "    return nn.Sequential(nn.BatchNorm1d(4), nn.Linear(4, classes))\n"
    )
    model = build((4,), 2, 0, factory="own.py:make", folder=tmp_path)
    assert torch.equal(model[0].running_var, torch.ones(4))
