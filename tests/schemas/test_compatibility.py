"""Every version that was ever written stays readable; every schema says what it means."""

import copy
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import orjson
import pytest

from schemas import registry
from schemas.topics import TOPICS
from tests.schemas.evolution import Schema, parse, unreadable

FOLDER = Path(registry.__file__).parent
IDS: dict[str, dict[str, int]] = orjson.loads((FOLDER / "ids.json").read_bytes())
VERSIONS = [(subject, int(version)) for subject in IDS for version in IDS[subject]]


def document(subject: str, version: int) -> Schema:
    text = (FOLDER / "avsc" / subject / f"v{version}.avsc").read_bytes()
    loaded: Schema = orjson.loads(text)
    return loaded


@pytest.mark.parametrize(("subject", "version"), VERSIONS)
def test_the_newest_version_reads_every_version(subject: str, version: int) -> None:
    older = registry.versions(subject)[version - 1]
    assert older.version == version
    assert unreadable(older.parsed, registry.latest(subject).parsed) is None


# What the check must let pass, and what it must notice.


def _field(schema: Schema, name: str) -> dict[str, Any]:
    [found] = [field for field in schema["fields"] if field["name"] == name]
    assert isinstance(found, dict)
    return found


def _add_with_default(schema: Schema) -> None:
    schema["fields"].append({"name": "new", "type": "string", "default": ""})


def _add_optional(schema: Schema) -> None:
    schema["fields"].insert(0, {"name": "new", "type": ["null", "long"], "default": None})


def _remove(schema: Schema) -> None:
    schema["fields"].remove(_field(schema, "explanation"))


def _widen(schema: Schema) -> None:
    _field(schema, "revision")["type"] = "long"


def _add_symbol(schema: Schema) -> None:
    _field(schema, "status")["type"]["symbols"].append("muted")


def _add_without_default(schema: Schema) -> None:
    schema["fields"].append({"name": "new", "type": "string"})


def _rename(schema: Schema) -> None:
    _field(schema, "explanation")["name"] = "why"


def _narrow(schema: Schema) -> None:
    _field(schema, "opened_ms")["type"] = "int"


def _retype(schema: Schema) -> None:
    _field(schema, "metric")["type"] = "long"


def _remove_symbol(schema: Schema) -> None:
    _field(schema, "severity")["type"]["symbols"].remove("info")


def _remove_branch(schema: Schema) -> None:
    field = _field(schema, "resolved_ms")
    field["type"] = "long"
    field.pop("default")


def _retype_items(schema: Schema) -> None:
    _field(schema, "sample_values")["type"]["items"] = "string"


@pytest.mark.parametrize("change", [_add_with_default, _add_optional, _remove, _widen, _add_symbol])
def test_compatible_changes_pass(change: Callable[[Schema], None]) -> None:
    older = document("alert", 1)
    newer = copy.deepcopy(older)
    change(newer)
    assert unreadable(parse(older), parse(newer)) is None


@pytest.mark.parametrize(
    "change",
    [
        _add_without_default,
        _rename,
        _narrow,
        _retype,
        _remove_symbol,
        _remove_branch,
        _retype_items,
    ],
)
def test_incompatible_changes_are_noticed(change: Callable[[Schema], None]) -> None:
    older = document("alert", 1)
    newer = copy.deepcopy(older)
    change(newer)
    assert unreadable(parse(older), parse(newer)) is not None


# Ids, files and topics.


def test_every_file_has_an_id_and_every_id_a_file() -> None:
    files = {(path.parent.name, int(path.stem[1:])) for path in FOLDER.glob("avsc/*/v*.avsc")}
    assert set(VERSIONS) == files
    assert not [
        path for path in FOLDER.rglob("avsc/**/*") if path.is_file() and path.suffix != ".avsc"
    ]


def test_ids_are_unique_and_versions_without_holes() -> None:
    ids = [schema_id for versions in IDS.values() for schema_id in versions.values()]
    assert len(set(ids)) == len(ids)
    assert all(0 < schema_id < 1 << 32 for schema_id in ids)
    for subject, versions in IDS.items():
        assert [int(version) for version in versions] == list(range(1, len(versions) + 1)), subject


def test_the_versions_of_a_subject_have_one_name_of_their_own() -> None:
    names = {
        subject: {schema.parsed["name"] for schema in registry.versions(subject)} for subject in IDS
    }
    assert all(len(found) == 1 for found in names.values())
    assert len(set.union(*names.values())) == len(names)


def test_the_topics_carry_subjects_that_exist() -> None:
    assert {topic.subject for topic in TOPICS} - {""} <= set(registry.subjects())
    assert len({topic.name for topic in TOPICS}) == len(TOPICS)


def _undocumented(schema: object, place: str) -> Iterator[str]:
    if isinstance(schema, list):
        for branch in schema:
            yield from _undocumented(branch, place)
    if not isinstance(schema, dict):
        return
    if schema["type"] == "record":
        if not schema.get("doc", "").strip():
            yield place
        for field in schema["fields"]:
            where = f"{place}.{field['name']}"
            if not field.get("doc", "").strip():
                yield where
            yield from _undocumented(field["type"], where)
    for inner in ("items", "values"):
        yield from _undocumented(schema.get(inner), f"{place}[]")
    if isinstance(schema["type"], dict | list):
        yield from _undocumented(schema["type"], place)


@pytest.mark.parametrize(("subject", "version"), VERSIONS)
def test_every_record_and_every_field_is_documented(subject: str, version: int) -> None:
    assert list(_undocumented(document(subject, version), subject)) == []


def test_what_is_not_documented_is_noticed() -> None:
    schema = document("rejected_samples", 1)
    _field(schema, "samples")["type"]["items"]["fields"][0].pop("doc")
    _field(schema, "upload_id")["doc"] = " "
    assert set(_undocumented(schema, "it")) == {"it.samples[].series", "it.upload_id"}
