"""Frozen values: dataclasses whose classes are quick to make, and dicts.

A frozen dataclass writes and compiles six methods for each class, half a millisecond of every start; a case
of masks needs some eighty classes. Here a class has one method of its own, ``__init__``, and all share the
others. Classes that only larger commands need may be plain dataclasses.
"""

from __future__ import annotations

from dataclasses import MISSING, FrozenInstanceError, dataclass, field, fields
from operator import attrgetter
from typing import TYPE_CHECKING, Any, NoReturn, TypeVar, dataclass_transform, overload

if TYPE_CHECKING:
    from collections.abc import Callable

_Class = TypeVar("_Class")
_Key = TypeVar("_Key")
_Value = TypeVar("_Value")

_NOT_GIVEN: Any = MISSING


@overload
def frozen(made: type[_Class], /) -> type[_Class]: ...
@overload
def frozen(*, eq: bool = True, kw_only: bool = True) -> Callable[[type[_Class]], type[_Class]]: ...
@dataclass_transform(kw_only_default=True, frozen_default=True, field_specifiers=(field,))
def frozen(made: type[Any] | None = None, /, *, eq: bool = True, kw_only: bool = True) -> Any:
    """Make a class what ``dataclass(frozen=True, slots=True, kw_only=True)`` makes of it.

    `dataclasses.fields`, `dataclasses.replace`, ``__post_init__``, pickling and copying work as there. What a
    class defines itself (``__repr__``, say) stays. Without ``eq`` a value is equal to itself alone, as one
    must be that holds arrays; without ``kw_only`` fields may be given by position.

    Examples
    --------
    >>> @frozen
    ... class Spacing:
    ...     along_mm: float
    ...     across_mm: float = 1.0
    >>> Spacing(along_mm=2.5)
    Spacing(along_mm=2.5, across_mm=1.0)
    """
    if made is None:
        return lambda cls: _frozen(cls, eq=eq, kw_only=kw_only)
    return _frozen(made, eq=eq, kw_only=kw_only)


def _frozen(cls: type[Any], *, eq: bool, kw_only: bool) -> Any:  # noqa: ANN401 - the class
    own = set(cls.__dict__)
    made: Any = dataclass(init=False, repr=False, eq=False, slots=True, kw_only=kw_only)(cls)
    methods = {
        "__init__": _initialiser(made),
        "__repr__": _repr,
        "__setattr__": _refuse_to_set,
        "__delattr__": _refuse_to_delete,
        "__getstate__": _state,
        "__setstate__": _restore,
    }
    if eq:
        made._compared = attrgetter(*(one.name for one in fields(made)))
        methods |= {"__eq__": _equal, "__hash__": _hash}
    for name, method in methods.items():
        if name not in own:
            setattr(made, name, method)
    return made


def _initialiser(made: Any) -> Callable[..., None]:  # noqa: ANN401 - a class with fields
    """Compile the ``__init__`` that puts each argument into its slot."""
    known: dict[str, Any] = {"_not_given": _NOT_GIVEN}
    by_position, by_name, lines = ["self"], list[str](), list[str]()
    for one in fields(made):
        name = one.name
        if not one.init:
            continue
        known[f"_set_{name}"] = getattr(made, name).__set__
        given = name
        if one.default is not MISSING:
            known[f"_default_{name}"] = one.default
            given += f"=_default_{name}"
        elif one.default_factory is not MISSING:
            known[f"_new_{name}"] = one.default_factory
            given += "=_not_given"
            lines.append(f"if {name} is _not_given: {name} = _new_{name}()")
        (by_name if one.kw_only else by_position).append(given)
        lines.append(f"_set_{name}(self, {name})")
    if hasattr(made, "__post_init__"):
        lines.append("self.__post_init__()")
    arguments = ", ".join([*by_position, "*", *by_name] if by_name else by_position)
    body = "\n    ".join(lines) or "pass"
    exec(f"def __init__({arguments}):\n    {body}", known)
    found: Callable[..., None] = known["__init__"]
    found.__qualname__ = f"{made.__qualname__}.__init__"
    found.__annotations__ = {one.name: one.type for one in fields(made) if one.init} | {"return": None}
    return found


def _repr(self: Any) -> str:  # noqa: ANN401 - of any such class, as in the functions below
    shown = (f"{one.name}={getattr(self, one.name)!r}" for one in fields(self) if one.repr)
    return f"{type(self).__qualname__}({', '.join(shown)})"


def _equal(self: Any, other: Any) -> Any:  # noqa: ANN401
    if type(self) is not type(other):
        return NotImplemented
    return self._compared(self) == self._compared(other)


def _hash(self: Any) -> int:  # noqa: ANN401
    return hash(self._compared(self))


def _refuse_to_set(self: object, name: str, _: object) -> None:
    msg = f"cannot assign to field {name!r}"
    raise FrozenInstanceError(msg)


def _refuse_to_delete(self: object, name: str) -> None:
    msg = f"cannot delete field {name!r}"
    raise FrozenInstanceError(msg)


def _state(self: Any) -> list[Any]:  # noqa: ANN401
    return [getattr(self, one.name) for one in fields(self)]


def _restore(self: Any, state: list[Any]) -> None:  # noqa: ANN401
    for one, value in zip(fields(self), state, strict=True):
        object.__setattr__(self, one.name, value)


class FrozenDict(dict[_Key, _Value]):
    """A dict that refuses to be changed, and travels between processes.

    >>> FrozenDict(liver=("liver*",))["spleen"] = ()
    Traceback (most recent call last):
        ...
    TypeError: This cannot be changed; work on a copy: dict(...).
    """

    __slots__ = ()
    refusal = "This cannot be changed; work on a copy: dict(...)."

    def _refuse(self, *_: object, **__: object) -> NoReturn:
        raise TypeError(self.refusal)

    __setitem__ = __delitem__ = __ior__ = _refuse
    clear = pop = popitem = setdefault = update = _refuse

    def __reduce__(self) -> tuple[object, ...]:
        return FrozenDict, (dict(self),)
