"""The base class of all settings, and the types that their fields share.

A field's annotation, bounds and default are its schema and validation; the docstring below it is
its sentence in the reference. `title` is the phrase with which messages describe what they expect.
"""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, Any, Literal, Self, TypeVar

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Discriminator,
    Field,
    Tag,
    ValidationError,
    model_validator,
)
from pydantic_core import PydanticCustomError

from phenoprints.foundations.errors import PhenoprintsError

_Item = TypeVar("_Item")


class Section(BaseModel):
    """A group of settings: immutable, without unknown keys, each value of the declared type."""

    model_config = ConfigDict(
        strict=True,
        extra="forbid",
        frozen=True,
        validate_default=True,
        allow_inf_nan=False,
        regex_engine="python-re",
        defer_build=True,
        protected_namespaces=(),
    )

    if not TYPE_CHECKING:

        def __init__(self, /, **values: Any) -> None:
            """Check `values`; every wrong one is named in one ConfigurationError."""
            try:
                super().__init__(**values)
            except ValidationError as error:
                raise _raised(type(self), error, values) from None

        # Without this, pydantic would call the method for nested sections as well.
        __init__.__pydantic_base_init__ = True

    @model_validator(mode="before")
    @classmethod
    def _whole_numbers(cls, values: Any) -> Any:
        """Turn 5e2, which YAML reads as 500.0, into a whole number where one is expected."""
        if not isinstance(values, Mapping):
            return values
        fields = cls.model_fields
        wrong = [
            key
            for key, value in values.items()
            if isinstance(value, float) and value.is_integer() and key in fields
            if fields[key].annotation in (int, int | None)
        ]
        return {**values, **{key: int(values[key]) for key in wrong}} if wrong else values

    def replace(self, **changes: Any) -> Self:
        """Return a copy with some values changed, checked as a whole.

        Raises
        ------
        ConfigurationError
            One line for every value that is not allowed.
        """
        return type(self)(**{**self.given(), **changes})

    def given(self) -> dict[str, Any]:
        """Return the values by name, sections as objects."""
        return {name: getattr(self, name) for name in type(self).model_fields}

    @classmethod
    def from_section(cls, section: Mapping[str, Any]) -> Self:
        """Build the settings from a resolved section; keys that are not theirs are left out.

        Raises
        ------
        ConfigurationError
            One line for every value that is not allowed.
        """
        return cls(**{name: section[name] for name in cls.model_fields if name in section})

    def plain(self) -> dict[str, Any]:
        """Return the values as JSON has them, with sorted keys."""
        return {name: _plain(value) for name, value in sorted(self.given().items())}


NOT_GIVEN: Any = None
"""The default in a `Partial`: typed as anything, since the field has no value without a key."""


def default_of(model: type[BaseModel], name: str) -> Any:
    """Return the default of a setting, for a signature that has it too."""
    return model.model_fields[name].default


class Partial(Section):
    """A section in which any key may be left out; a value of None means that it is."""

    model_config = ConfigDict(validate_default=False)

    def given(self) -> dict[str, Any]:
        """Return the values that are given, by name."""
        return {name: value for name, value in super().given().items() if value is not None}


def _plain(value: Any) -> Any:
    if isinstance(value, Section):
        return value.plain()
    if isinstance(value, Mapping):
        return {key: _plain(item) for key, item in sorted(value.items())}
    return [_plain(item) for item in value] if isinstance(value, tuple) else value


def _raised(cls: type[Section], error: ValidationError, values: Mapping[str, Any]) -> Exception:
    from phenoprints.configuration.explanation import error_of_section

    causes = (detail.get("ctx", {}).get("error") for detail in error.errors())
    own = next((cause for cause in causes if isinstance(cause, PhenoprintsError)), None)
    return own or error_of_section(cls, error, values)


def _distinct(items: tuple[_Item, ...]) -> tuple[_Item, ...]:
    if len(set(items)) < len(items):
        raise PydanticCustomError("expected", "every item once")
    return items


def not_one(number: int) -> int:
    """Refuse 1, of which nothing is left without it."""
    if number == 1:
        raise PydanticCustomError("expected", "0, or at least 2")
    return number


def shape(value: Any) -> str | None:
    """Return the tag of the alternative that a value is meant for, by its type."""
    kinds: dict[type, str] = {
        str: "<text>", bool: "", int: "<whole>", float: "<number>", list: "<list>",
        tuple: "<list>", dict: "<mapping>",
    }  # fmt: skip
    is_mapping = isinstance(value, Mapping | BaseModel)
    return "<mapping>" if is_mapping else kinds.get(type(value)) or None


BY_SHAPE = Discriminator(shape)
NAME_PATTERN = r"^[a-z0-9][a-z0-9-]*(?!\n)$"

Text = Annotated[str, Field(min_length=1)]
Fraction = Annotated[float, Field(ge=0, le=1, title="a fraction from 0 to 1")]
Listed = Annotated[tuple[_Item, ...], Field(strict=False)]
Distinct = Annotated[
    tuple[_Item, ...],
    Field(strict=False, json_schema_extra={"uniqueItems": True}),
    AfterValidator(_distinct),
]
Name = Annotated[
    str,
    Field(
        pattern=NAME_PATTERN,
        max_length=64,
        title="a name of lower-case letters, digits and hyphens that begins with a letter or digit",
    ),
]
EncoderName = Annotated[
    str,
    Field(
        pattern=r"^[a-z0-9][a-z0-9-]*(\.trimmed)?(?!\n)$",
        title="the name of an encoder, or `<encoder>.trimmed`",
    ),
]
Paths = Annotated[
    Annotated[Text, Tag("<text>")] | Annotated[Listed[Text], Tag("<list>")],
    BY_SHAPE,
    Field(title="a path or glob, or a list of them"),
]
TextOrNumber = Annotated[
    Annotated[str, Tag("<text>")]
    | Annotated[int, Tag("<whole>")]
    | Annotated[float, Tag("<number>")],
    BY_SHAPE,
    Field(title="text or a number"),
]
Role = Literal["treatment", "negative_control", "positive_control", "unperturbed"]
