"""`federation.toml`: reading it with errors that a person can act on, and writing every setting back.

A wrong key is answered with the nearest right one, a wrong value with its place and what would be right.
"""

import difflib
import re
import tomllib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Literal, TypeVar, get_args, get_origin, get_type_hints

import msgspec

from peerage.config import (
    EmissionSettings,
    Energy,
    Federation,
    LedgerSettings,
    ModelSettings,
    Part,
    Region,
    ScheduleSettings,
    StoreSettings,
)
from peerage.config_checks import check_federation
from peerage_crypto.digest import tagged
from peerage_crypto.errors import InputError

MAX_BYTES = 1 << 20
NARROW_RING: Mapping[str, object] = {
    "frac_bits": 6,
    "clip": 4.0,
}  # for 127 peers; least noise of scores measured (`scripts/bench rings`)
LISTS: Mapping[str, type[msgspec.Struct]] = {"regions": Region, "energy": Energy, "cast": Part}  # written as [[name]]

LATER: Mapping[str, tuple[str, ...]] = {  # settings that older federations did not have
    "merge": ("graph", "optimiser", "learning_rate", "beta2", "tau"),
    "masking": ("random_k",),
    "privacy": ("lone_versions",),
    "model": ("kind", "steps", "norm", "questions", "clusters", "candidates"),
    "training": ("proximal", "scaffold", "logit_adjustment", "augment", "generator", "counts"),
    "rewards": ("green_bonus", "green_pool"),
    "timing": ("open_at",),
}

S = TypeVar("S", bound=msgspec.Struct)


def load_federation(path: Path, *, check: bool = True) -> Federation:
    """The federation in this file; `InputError` says where it is wrong. `check`: its fields together, too."""
    try:
        if path.stat().st_size > MAX_BYTES:
            raise InputError(f"{path} is larger than {MAX_BYTES} bytes: that is no federation file")
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise InputError(f"{path} does not exist: name a federation file, or leave it out for the defaults") from None
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{path} cannot be read: {error}") from None
    return parse_federation(text, where=str(path), check=check)


def parse_federation(text: str, *, where: str, check: bool = True) -> Federation:
    try:
        document = tomllib.loads(text)
    except (ValueError, RecursionError) as error:  # a number of 5000 digits is no TOMLDecodeError
        raise InputError(f"{where} is not TOML: {error}") from None
    federation = convert(with_ring_defaults(document), Federation, where=where)
    if check:
        check_federation(federation)
    return federation


def federation_of(tables: Mapping[str, object], *, where: str) -> Federation:
    """From plain tables, checked. `where` opens the error's sentence."""
    federation = convert(with_ring_defaults(tables), Federation, where=where)
    check_federation(federation)
    return federation


def with_ring_defaults(tables: Mapping[str, object]) -> Mapping[str, object]:
    """What `ring_bits = 16` needs where the tables do not say: the defaults for 32 bits overflow it (docs/round.md)."""
    masking = tables.get("masking")
    if not isinstance(masking, Mapping) or masking.get("ring_bits") != 16:
        return tables
    return {**tables, "masking": {**NARROW_RING, **masking}}


def convert(document: Mapping[str, object], struct: type[S], *, where: str) -> S:
    """Plain tables as a struct of settings; a wrong key or value is one sentence."""
    _check_keys(document, struct, where, prefix="")
    try:
        return msgspec.convert(document, struct, strict=True)
    except msgspec.ValidationError as error:
        raise InputError(f"{where}: {_sentence(str(error), struct)}") from None


def to_toml(federation: Federation, *, without: Sequence[str] = ()) -> str:
    """Every setting, defaults included; `parse_federation` of it gives the same federation again. `without` these, by
    their path: "schedule", "merge.tau".
    """
    tables = {
        key: {k: v for k, v in value.items() if f"{key}.{k}" not in without} if isinstance(value, dict) else value
        for key, value in msgspec.to_builtins(federation).items()
        if key not in without
    }
    plain = {key: value for key, value in tables.items() if not isinstance(value, dict) and key not in LISTS}
    sections = {key: value for key, value in tables.items() if isinstance(value, dict)}
    blocks = [_lines(plain)]
    blocks += [f"[{name}]\n{_lines(table)}" for name, table in sections.items()]
    blocks += [f"[[{name}]]\n{_lines(item)}" for name in LISTS for item in tables[name]]
    return "\n".join(blocks)


def _check_keys(table: Mapping[str, object], struct: type[msgspec.Struct], where: str, prefix: str) -> None:
    known = struct.__struct_fields__
    for key, value in table.items():
        if key not in known:
            raise InputError(f"{where}: unknown key {prefix + key!r}{_nearest(key, struct, prefix)}")
        section = _section(struct, key)
        if section is not None and isinstance(value, Mapping):
            _check_keys(value, section, where, f"{prefix}{key}.")
        if key in LISTS and isinstance(value, list):
            for item in value:
                if isinstance(item, Mapping):
                    _check_keys(item, LISTS[key], where, f"{key}.")


def _section(struct: type[msgspec.Struct], key: str) -> type[msgspec.Struct] | None:
    kind = struct.__annotations__[key]
    return kind if isinstance(kind, type) and issubclass(kind, msgspec.Struct) else None


def _nearest(key: str, struct: type[msgspec.Struct], prefix: str) -> str:
    """Look in this table first, then everywhere: a key in the wrong table is as common as a typing error."""
    here = difflib.get_close_matches(key, struct.__struct_fields__, n=1, cutoff=0.6)
    if here:
        return f": did you mean {prefix + here[0]!r}?"
    paths = {field: path for path, field in _all_keys()}
    anywhere = difflib.get_close_matches(key, paths, n=1, cutoff=0.75)
    if anywhere:
        return f": did you mean {paths[anywhere[0]]!r}?"
    return f": it takes {', '.join(struct.__struct_fields__)}"


def _all_keys() -> Sequence[tuple[str, str]]:
    found = [(field, field) for field in Federation.__struct_fields__]
    for field in Federation.__struct_fields__:
        section = _section(Federation, field)
        if section is not None:
            found += [(f"{field}.{inner}", inner) for inner in section.__struct_fields__]
    return [*found, *((f"{name}.{inner}", inner) for name, item in LISTS.items() for inner in item.__struct_fields__)]


def _sentence(error: str, struct: type[msgspec.Struct]) -> str:
    """Place first: from "Expected `int` >= 1 - at `$.training.epochs`"."""
    match = re.fullmatch(r"(?P<what>.*?)(?: - at `\$\.?(?P<place>.*)`)?", error, flags=re.DOTALL)
    if match is None or not match["place"]:
        return error
    right = _right_values(match["place"], struct)
    return f"{match['place']}: {right or match['what'][:1].lower() + match['what'][1:]}"


def _right_values(place: str, struct: type[msgspec.Struct]) -> str:
    """What a field with a list of values or with words of its own takes; empty for plain ranges."""
    kind: object = struct
    for step in re.sub(r"\[[^]]*\]", "", place).split("."):
        inner = [kind, *get_args(kind)]
        found = next((k for k in inner if isinstance(k, type) and issubclass(k, msgspec.Struct)), None)
        if found is None or step not in found.__struct_fields__:
            return ""
        kind = get_type_hints(found, include_extras=True)[step]
    if get_origin(kind) is Literal:
        return f"takes {' or '.join(str(value) for value in get_args(kind))}"
    described = [meta.description for meta in getattr(kind, "__metadata__", ()) if isinstance(meta, msgspec.Meta)]
    return f"takes {described[0]}" if described and described[0] else ""


def _lines(table: Mapping[str, object]) -> str:
    return "".join(f"{key} = {_value(value)}\n" for key, value in table.items())


def _value(value: object) -> str:
    match value:
        case bool():
            return "true" if value else "false"
        case int() | float():
            return repr(value)
        case str():
            return _string(value)
        case list() | tuple():
            return f"[{', '.join(_value(item) for item in value)}]"
        case _:
            raise TypeError(f"no setting is a {type(value).__name__}")


def _string(text: str) -> str:
    """A TOML basic string: JSON's escapes are a subset of TOML's, except that DEL must be escaped too."""
    return msgspec.json.encode(text).decode().replace("\x7f", "\\u007f")


OF_ONE_PLACE: Mapping[str, str] = {kind: kind for kind in ("csv", "npz", "folder")}  # their paths are nobody else's
SETTINGS_HEAD = b"peerage settings 1\n"


def federation_hash(federation: Federation) -> bytes:
    """32 bytes that name the agreed rules: the genesis of the ledger, the same on every peer's machine."""
    return tagged("peerage/federation/1", _rules_of(federation))


def settings_artefact(federation: Federation) -> bytes:
    """The agreed rules as an artefact, so that an outsider who has the store finds what the genesis is the hash of."""
    return SETTINGS_HEAD + _rules_of(federation)


def settings_name(blob: bytes) -> bytes:
    """The hash that the settings of such an artefact are the genesis of."""
    return tagged("peerage/federation/1", blob.removeprefix(SETTINGS_HEAD))


def settings_from(blob: bytes) -> Federation:
    """The settings of such an artefact, without anybody's places. InputError for anything else, and where the model is
    made by a function of the federation's own: somebody has to say where it is.
    """
    try:
        words = blob.removeprefix(SETTINGS_HEAD).decode()
    except UnicodeDecodeError:
        raise InputError("the settings in the store are no text") from None
    found = parse_federation(words, where="the settings in the store", check=False)
    if found.model.factory != ":":
        raise InputError(
            f'the model is made by a function of the federation\'s own (factory = "...{found.model.factory}"): ask a '
            "peer for that file and its federation.toml, and give the latter as --settings"
        )
    return msgspec.structs.replace(found, model=msgspec.structs.replace(found.model, factory=""))


def _model_rules(model: ModelSettings) -> ModelSettings:
    """Where answers are exchanged, what gives them is each peer's own affair."""
    if model.questions:
        return ModelSettings(questions=model.questions, factory=":")
    return msgspec.structs.replace(model, factory=f":{model.factory.rpartition(':')[2]}")


def _rules_of(federation: Federation) -> bytes:
    """What belongs to one machine (folders, engine, country, store) or to a demonstration (cast) is not a rule."""
    data, shared = federation.data, "file" if federation.data.validation_file else ""
    kind, _, rest = data.source.partition(":")
    own_place = {**OF_ONE_PLACE, "mnist": data.source}.get(kind, f":{rest.rpartition(':')[2]}" if rest else data.source)
    rules = msgspec.structs.replace(
        federation,
        data=msgspec.structs.replace(data, source=own_place, data_dir="", validation_file=shared),
        model=_model_rules(federation.model),
        ledger=LedgerSettings(chain_id=federation.ledger.chain_id),
        emissions=EmissionSettings(),
        store=StoreSettings(),
        cast=(),
    )
    # a federation that uses none of what came later keeps the name that it had before
    unscheduled = ("schedule",) if federation.schedule == ScheduleSettings() else ()
    return to_toml(rules, without=(*unscheduled, *_as_before(rules))).encode()


def _as_before(federation: Federation) -> list[str]:
    """The later settings that stand as if there were none of them."""
    default = Federation()
    return [
        f"{table}.{name}"
        for table, names in LATER.items()
        for name in names
        if getattr(getattr(federation, table), name) == getattr(getattr(default, table), name)
    ]
