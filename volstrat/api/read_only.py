"""JSON values that cannot be changed, equal to the plain ones and read by every JSON writer."""

from __future__ import annotations

from typing import Any, NoReturn

from volstrat.frozen import FrozenDict

_REFUSED = "A result cannot be changed; work on a copy: json.loads(json.dumps(...)), or dict(...)."


class ReadOnlyDict(FrozenDict[str, Any]):
    """A dict that refuses to be changed."""

    __slots__ = ()
    refusal = _REFUSED

    def __copy__(self) -> dict[str, Any]:
        return dict(self)

    def __deepcopy__(self, _: object) -> dict[str, Any]:
        return {key: plain(value) for key, value in self.items()}

    def __reduce__(self) -> tuple[object, ...]:
        return read_only, (plain(self),)


class ReadOnlyList(list[Any]):
    """A list that refuses to be changed."""

    __slots__ = ()

    def _refuse(self, *_: object, **__: object) -> NoReturn:
        raise TypeError(_REFUSED)

    __setitem__ = __delitem__ = __iadd__ = __imul__ = _refuse
    append = clear = extend = insert = pop = remove = reverse = sort = _refuse

    def __copy__(self) -> list[Any]:
        return list(self)

    def __deepcopy__(self, _: object) -> list[Any]:
        return [plain(value) for value in self]

    def __reduce__(self) -> tuple[object, ...]:
        return read_only, (plain(self),)


def read_only(value: Any) -> Any:  # noqa: ANN401 - any JSON value
    """Return a JSON value whose objects and lists, all the way down, cannot be changed.

    Examples
    --------
    >>> record = read_only({"lesions": [{"lesion_id": "L1"}]})
    >>> record == {"lesions": [{"lesion_id": "L1"}]}
    True
    >>> record["lesions"].append(None)
    Traceback (most recent call last):
        ...
    TypeError: A result cannot be changed; work on a copy: json.loads(json.dumps(...)), or dict(...).
    """
    if isinstance(value, dict):
        return ReadOnlyDict((key, read_only(one)) for key, one in value.items())
    if isinstance(value, list | tuple):
        return ReadOnlyList(read_only(one) for one in value)
    return value


def plain(value: Any) -> Any:  # noqa: ANN401 - any JSON value
    """Return a copy of plain dicts and lists."""
    if isinstance(value, dict):
        return {key: plain(one) for key, one in value.items()}
    return [plain(one) for one in value] if isinstance(value, list) else value
