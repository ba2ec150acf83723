"""Updates: a body that may repeat any property of the object, and change some (contract/api.md 4.4 and 4.8)."""

from collections.abc import Collection, Mapping, Sequence
from typing import Any, ClassVar, TypeVar

from pydantic import ConfigDict, GetJsonSchemaHandler, ValidationError, model_validator
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema

from hwdash.wire.base import WireModel

M = TypeVar("M", bound=WireModel)

MOST_MEMBERS = 200


class AnyObject(WireModel):
    """A JSON object that is read later, when it is known what it is held against."""

    model_config = ConfigDict(extra="allow")
    _documented_as: ClassVar[type[WireModel] | None] = None

    def __init_subclass__(cls, *, documented_as: type[WireModel] | None = None, **kwargs: Any) -> None:
        """``documented_as``: the model that OpenAPI shows of such a body."""
        super().__init_subclass__(**kwargs)
        cls._documented_as = documented_as

    @classmethod
    def __get_pydantic_json_schema__(cls, schema: CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        if cls._documented_as is None:
            return handler(schema)
        return handler(cls._documented_as.__pydantic_core_schema__) | {"title": cls.__name__}

    @model_validator(mode="before")
    @classmethod
    def _of_a_known_size(cls, value: Any) -> Any:
        # Each is compared with the object as it is, while the database waits.
        if isinstance(value, dict) and len(value) > MOST_MEMBERS:
            raise ValueError(f"The object has {len(value)} properties; {MOST_MEMBERS} at most can be given.")
        return value

    @property
    def members(self) -> dict[str, Any]:
        """The object's members as they were sent."""
        return self.model_extra or {}


def read_update(model: type[M], body: Mapping[str, Any]) -> tuple[M, ValidationError | None]:
    """What ``body`` changes, read as far as it is sound, and what is wrong with the rest."""
    try:
        return model.model_validate(body), None
    except ValidationError as error:
        wrong = {str(each["loc"][0]).casefold() for each in error.errors() if each["loc"]}
        sound = {name: value for name, value in body.items() if name.casefold() not in wrong}
        return model.model_validate(sound), error


def read_sound(
    model: type[M], body: Mapping[str, Any], older_names: Mapping[str, str]
) -> tuple[M, ValidationError | None]:
    """``body`` read as far as it is sound, whatever the depth, and what is wrong with the rest.

    Each property of ``model`` may be absent. ``older_names`` are those in folded case that are read as another.
    """
    try:
        return model.model_validate(body), None
    except ValidationError as error:
        sound: Any = body
        for each in error.errors(include_url=False, include_input=False):
            names = [part.casefold() for part in each["loc"] if isinstance(part, str)]
            sound = _without(sound, names, older_names)
        try:
            return model.model_validate(sound), error
        except ValidationError:
            return model(), error


def _without(value: Any, path: Sequence[str], older_names: Mapping[str, str]) -> Any:
    """A document without the property at ``path``, its names in folded case."""
    if isinstance(value, list) and len(value) == 1:
        return [_without(value[0], path, older_names)]
    if not isinstance(value, dict) or not path:
        return value
    kept = {}
    for name, member in value.items():
        folded = older_names.get(name.casefold(), name).casefold()
        if folded != path[0]:
            kept[name] = member
        elif len(path) > 1 and isinstance(member, dict | list):
            kept[name] = _without(member, path[1:], older_names)
    return kept


def changed_properties(
    body: Mapping[str, Any],
    current: Mapping[str, Any],
    models: Sequence[type[WireModel]],
    *,
    aside: Collection[str],
) -> list[str]:
    """The properties of ``body``, those ``aside`` left out, that differ from ``current``, an object on the wire.

    Each is read by the first of the ``models`` that has it; one that none has differs unless it is null.
    """
    spelt = {alias.casefold(): alias for model in models for alias in _aliases(model)}
    left_out = {name.casefold() for name in aside}
    changed = []
    for given, value in body.items():
        name = spelt.get(given.casefold(), given)
        if given.casefold() in left_out or value is None:
            continue
        model = next((each for each in models if name in _aliases(each)), None)
        if model is None or _read(model, current, name, value) != current.get(name):
            changed.append(name)
    return changed


def _aliases(model: type[WireModel]) -> list[str]:
    return [field.alias or name for name, field in model.model_fields.items()]


class _Lenient:
    accept_new_os_codes = True


_NOTHING_ALIKE = object()


def _read(model: type[WireModel], current: Mapping[str, Any], name: str, value: object) -> object:
    """The value in the one form of output; something that equals nothing, when it is not of the property's type."""
    try:
        return model.model_validate({**current, name: value}, context=_Lenient).to_wire().get(name)
    except ValidationError:
        return _NOTHING_ALIKE
