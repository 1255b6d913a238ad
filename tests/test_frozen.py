"""`volstrat.frozen`: what a frozen dataclass does, by fewer compiled methods."""

from __future__ import annotations

import copy
import pickle
from dataclasses import FrozenInstanceError, dataclass, field, fields, replace
from typing import TYPE_CHECKING, Any

import pytest

from volstrat.frozen import frozen

if TYPE_CHECKING:
    from collections.abc import Callable


@frozen
class Grown:
    """A value of each kind of field."""

    lesion_id: str
    margin_mm: float = 5.0
    marks: list[str] = field(default_factory=list)
    twice_mm: float = field(init=False, repr=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "twice_mm", 2 * self.margin_mm)


@frozen
class Named(Grown):
    """One with a field more, and words of its own."""

    name: str

    def __repr__(self) -> str:
        return f"Named({self.name})"


@frozen(eq=False, kw_only=False)
class Runs:
    """A value by position, equal to itself alone."""

    starts: tuple[int, ...]
    stops: tuple[int, ...] = ()


def test_fields_are_named_have_defaults_and_their_own_lists() -> None:
    """A list by default is a new one each time; what ``__post_init__`` works out is no argument."""
    one, other = Grown(lesion_id="L1"), Grown(lesion_id="L1")
    assert (one.margin_mm, one.twice_mm, one.marks) == (5.0, 10.0, [])
    assert one.marks is not other.marks
    assert [f.name for f in fields(one)] == ["lesion_id", "margin_mm", "marks", "twice_mm"]
    assert repr(one) == "Grown(lesion_id='L1', margin_mm=5.0, marks=[])"
    assert replace(one, margin_mm=3.0).twice_mm == 6.0


@pytest.mark.parametrize(
    "given", [(("L1",), {}), ((), {}), ((), {"lesion_id": "L1", "twice_mm": 1.0}), ((), {"id": "L1"})]
)
def test_wrong_arguments_are_refused(given: tuple[tuple[Any, ...], dict[str, Any]]) -> None:
    """By position, too few, one that is none, an unknown one."""
    with pytest.raises(TypeError):
        Grown(*given[0], **given[1])


def test_nothing_can_be_changed_added_or_taken_away() -> None:
    """No setters: neither a field nor anything else."""
    one: Any = Grown(lesion_id="L1")
    for name in ("lesion_id", "another"):
        with pytest.raises(FrozenInstanceError):
            setattr(one, name, "L2")
    with pytest.raises(FrozenInstanceError):
        del one.lesion_id
    assert not hasattr(one, "__dict__")


def test_equal_values_of_one_class_are_equal_and_hash_alike() -> None:
    """Another class is never equal, nor is a value that holds arrays to any but itself."""
    one, other = (Named(lesion_id="L1", name="a", marks=()) for _ in range(2))  # type: ignore[arg-type]
    assert one == other
    assert len({one, other, replace(one, name="b")}) == 2
    assert one != Grown(lesion_id="L1")
    assert Runs((1,)) != Runs((1,))
    assert repr(one) == "Named(a)"


@pytest.mark.parametrize("again", [copy.copy, copy.deepcopy, lambda one: pickle.loads(pickle.dumps(one))])
def test_copies_are_equal(again: Callable[[Named], Named]) -> None:
    """By copy, deep copy and pickle; nothing is worked out anew."""
    one = Named(lesion_id="L1", name="a", margin_mm=7.0)
    assert again(one) == one
    assert again(one).twice_mm == 14.0


def test_it_is_a_dataclass_with_the_same_arguments() -> None:
    """`inspect.signature` and match statements see what they see of a frozen dataclass."""
    import inspect

    @dataclass(frozen=True, slots=True)
    class Plain:
        starts: tuple[int, ...]
        stops: tuple[int, ...] = ()

    assert inspect.signature(Runs).parameters.keys() == inspect.signature(Plain).parameters.keys()
    assert Runs.__match_args__ == Plain.__match_args__ == ("starts", "stops")
    assert not hasattr(Runs(()), "__dict__")
