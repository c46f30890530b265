from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from peerage.config import DataSettings, Federation, LedgerSettings, Part, RobustSettings
from peerage.config_checks import check_federation
from peerage.config_toml import federation_hash, load_federation, parse_federation, to_toml
from peerage_crypto.errors import InputError

ROOT = Path(__file__).parents[2]


def refusal(text: str) -> str:
    with pytest.raises(InputError) as caught:
        parse_federation(text, where="f.toml")
    sentence = str(caught.value)
    assert sentence.count("\n") == 0
    return sentence


@pytest.mark.parametrize(
    ("text", "nearest"),
    [
        ("round = 3", "'rounds'"),
        ("[training]\nepocs = 3", "'training.epochs'"),
        ("epochs = 3", "'training.epochs'"),
        ("[trainin]\nepochs = 3", "'training'"),
        ("[[cast]]\npeer = 'peer-01'\nkill_in_roun = 2", "'cast.kill_in_round'"),
    ],
)
def test_an_unknown_key_is_answered_with_the_nearest_right_one(text: str, nearest: str) -> None:
    sentence = refusal(text)
    assert "unknown key" in sentence
    assert nearest in sentence


def test_a_key_like_no_other_is_answered_with_what_there_is() -> None:
    assert "epochs, batch_size, learning_rate" in refusal("[training]\nzzz = 1")


@pytest.mark.parametrize(
    ("text", "place"),
    [
        ("peers = 0", "peers"),
        ("seed = -1", "seed"),
        ("[training]\nepochs = '3'", "training.epochs"),
        ("[training]\nlearning_rate = 0.0", "training.learning_rate"),
        ("[merge]\nmomentum = 1.0", "merge.momentum"),
        ("[masking]\nring_bits = 24", "masking.ring_bits: takes 16 or 32 or 64"),
        ("[emissions]\ncountry = 'Germany'", "emissions.country: takes an ISO 3166 alpha-3 code"),
        ("[rewards]\npool = '-1'", "rewards.pool: takes a whole number"),
        ("exchange = 'open'", "exchange: takes masked or plain"),
        ("[masking]\nring_bits = 16\nfrac_bits = 16", "at most 8"),
        ("[data]\nsource = 'csv:x.csv'", "data.label"),
        ("[data]\npartition = 'dirichlet:0'", "dirichlet"),
        ("[data]\nvalidation_donor = 'peer-99'", "peer-01 to peer-08"),
        ("[ledger]\nengine = 'anvill'", "ledger.engine"),
        ("[[cast]]\npeer = 'peer-09'", "peer-01 to peer-08"),
        ("[[cast]]\npeer = 'peer-01'\nkill_in_round = 6\nreturn_in_round = 4", "cannot return"),
        ("peers = [", "not TOML"),
    ],
)
def test_a_wrong_value_is_told_with_its_place(text: str, place: str) -> None:
    assert place in refusal(text)


def test_one_peer_is_refused_and_two_only_mask_nothing() -> None:
    assert "at least 2" in refusal("peers = 1")
    assert "plain" in refusal("peers = 2")
    assert parse_federation("peers = 2\nexchange = 'plain'", where="f").peers == 2


@pytest.mark.parametrize(("peers", "smallest"), [(3, "sums of 3 honest"), (4, "sums of 2 honest")])
def test_three_and_four_peers_are_warned_with_the_smallest_sum(peers: int, smallest: str) -> None:
    (warning,) = check_federation(Federation(peers=peers))
    assert smallest in warning


def test_five_peers_need_no_warning() -> None:
    assert check_federation(Federation(peers=5)) == ()


def test_the_written_file_holds_every_setting_and_reads_back() -> None:
    federation = Federation(name="a b", data=DataSettings(source='csv:a"b\\c.csv', label="ö\t", classes=("x", "1")))
    text = to_toml(federation)
    assert parse_federation(text, where="again") == federation
    for section in ("data", "model", "training", "masking", "merge", "scores", "rewards", "ledger", "timing"):
        struct = getattr(federation, section)
        block = text.split(f"[{section}]\n")[1]
        assert all(f"{field} = " in block for field in struct.__struct_fields__)


@given(st.text(), st.integers(0, 2**63 - 1), st.floats(1e-3, 1000))
def test_any_text_and_number_survives_the_file(label: str, seed: int, rate: float) -> None:
    federation = Federation(seed=seed, data=DataSettings(label=label))
    federation = replace(federation, training=replace(federation.training, learning_rate=rate))
    assert parse_federation(to_toml(federation), where="again") == federation


def test_the_demo_is_the_picture_of_the_readme() -> None:
    demo = load_federation(ROOT / "examples" / "demo.toml")
    assert (demo.peers, demo.rounds) == (12, 12)
    assert {part.behaviour for part in demo.cast} == {"parent-back", "random-labels", "honest"}
    assert [(p.kill_in_round, p.return_in_round) for p in demo.cast if p.kill_in_round] == [(4, 6)]


def test_names_grow_with_the_federation() -> None:
    assert Federation().peer_names()[0] == "peer-01"
    assert Federation(peers=100, exchange="plain").peer_names()[99] == "peer-100"


def test_the_hash_names_the_rules_and_not_the_machine() -> None:
    base = Federation()
    same = replace(
        base,
        ledger=LedgerSettings(engine="ganache"),
        data=replace(base.data, data_dir="/somewhere"),
        cast=(Part(peer="peer-01", behaviour="nan"),),
    )
    assert federation_hash(base) == federation_hash(same)
    assert federation_hash(base) != federation_hash(replace(base, rounds=11))
    assert federation_hash(base) != federation_hash(replace(base, ledger=LedgerSettings(chain_id=1)))


def test_where_a_csv_lies_is_no_rule_but_its_columns_are() -> None:
    here = Federation(data=DataSettings(source="csv:/here/a.csv", label="y", columns="{}"))
    there = replace(here, data=replace(here.data, source="csv:/there/b.csv"))
    assert federation_hash(here) == federation_hash(there)
    assert federation_hash(here) != federation_hash(replace(here, data=replace(here.data, columns="{ }")))


def test_buckets_say_what_the_worst_draw_reveals() -> None:
    warnings = check_federation(Federation(peers=15, robust=RobustSettings(rule="median", buckets=3, byzantine=1)))
    assert any("if all 3 colluding peers came into one, it would be a sum of 1 honest" in w for w in warnings)
    assert not any("bucket" in w for w in check_federation(Federation(peers=15)))
