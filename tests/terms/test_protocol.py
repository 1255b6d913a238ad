"""Protocols: thresholds compared in integers, fields checked one by one, the packaged file."""

from __future__ import annotations

import pickle
import tomllib
from dataclasses import fields
from decimal import Decimal
from importlib import import_module
from importlib.resources import files
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from volstrat.case.protocol_files import load_protocol
from volstrat.errors import ProtocolError
from volstrat.terms.protocol import NAMING, Protocol, protocol_from_mapping, protocol_schema, reaches_percent

PACKAGED = files("volstrat").joinpath("protocols/pantodon.toml").read_text(encoding="utf-8")
E10 = 10**10


@pytest.mark.parametrize(
    ("part", "whole", "percent", "reached"),
    [
        (699, 1000, "70", False),
        (700, 1000, "70", True),  # exactly 70 % passes
        (701, 1000, "70", True),
        (7 * 10**9 - 1, E10, "70", False),  # a share of 69.99999999 %
        (7 * 10**9, E10, "70", True),
        (999, 1000, "100", False),
        (1000, 1000, "100", True),
        (E10 - 1, E10, "100", False),
        (E10, E10, "100", True),
        # 66.7 % of 1000 is 667 voxels; of 3 it is 2.001, so two thirds do not reach it.
        (666, 1000, "66.7", False),
        (667, 1000, "66.7", True),
        (2, 3, "66.7", False),
        (2, 3, "66.6", True),
        # 0.1 has no exact binary form: 0.1 % of 3000 is 3, of 3001 more than 3.
        (3, 3000, "0.1", True),
        (3, 3001, "0.1", False),
        # 33.3333333333 % of 3 x 10^12 is 999999999999.
        (999999999998, 3 * 10**12, "33.3333333333", False),
        (999999999999, 3 * 10**12, "33.3333333333", True),
        (0, 1000, "70", False),
        (0, 0, "70", True),  # nothing is missing of nothing; the predicates treat an empty whole apart
    ],
)
def test_percent_is_reached_in_integers(part: int, whole: int, percent: str, reached: bool) -> None:
    """`part x 100 >= whole x percent`, whatever the size and the decimals: no float decides."""
    assert reaches_percent(part, whole, Decimal(percent)) is reached


@given(
    whole=st.integers(1, 10**15),
    hundredths=st.integers(1, 10_000),
    data=st.data(),
)
def test_one_voxel_either_side_of_the_threshold(whole: int, hundredths: int, data: st.DataObject) -> None:
    """The fewest voxels that reach p % are ceil(whole x p / 100); one fewer never does."""
    percent = Decimal(hundredths) / 100
    fewest = -(-whole * hundredths // 10_000)
    assert reaches_percent(fewest, whole, percent)
    assert not reaches_percent(fewest - 1, whole, percent)
    more = data.draw(st.integers(fewest, whole))
    assert reaches_percent(more, whole, percent)


def test_packaged_protocol_is_the_default_and_names_every_choice_of_the_rule() -> None:
    """pantodon.toml says in words what `Protocol()` holds; a choice it left out would have no reason."""
    loaded = load_protocol()
    assert loaded.protocol == Protocol()
    left_out = {f.name for f in fields(Protocol)} - set(tomllib.loads(PACKAGED))
    assert left_out == set()


def test_contract_defaults() -> None:
    """The values that docs/rule.md fixes."""
    p = Protocol()
    assert (p.thresholds.stratum_1_percent, p.thresholds.stratum_2_percent) == (Decimal(70), Decimal(100))
    assert (p.both_fit, p.ablation_counts, p.exclusion_b) == ("stratum_1", True, "not_all_resectable")
    assert (p.tumour_scope, p.pet_only_in_total, p.connectivity) == ("all", False, 26)
    assert (p.minimum_voxels, p.attribution_distance_mm, p.whole_lesion_percent) == (1, 10.0, Decimal(95))
    assert p.geometry_tolerance_mm == 0.1
    assert p.review.open_choices == ("avidity.also_check", "pet_only_in_total")


def from_toml(text: str) -> Protocol:
    """Return the protocol of a TOML text."""
    return protocol_from_mapping(tomllib.loads(text, parse_float=Decimal), where="mine.toml")


def test_decimals_of_a_file_stay_exact() -> None:
    """66.7 in the file is the decimal 66.7, not the nearest binary fraction below or above it."""
    percent = from_toml("[thresholds]\nstratum_1_percent = 66.7").thresholds.stratum_1_percent
    assert percent == Decimal("66.7")
    assert reaches_percent(667, 1000, percent)
    assert not reaches_percent(666, 1000, percent)


def test_whole_number_stands_for_a_decimal() -> None:
    """70 and 70.0 are one threshold."""
    whole, decimal = (from_toml(f"[thresholds]\nstratum_1_percent = {x}") for x in ("70", "70.0"))
    assert whole.thresholds == decimal.thresholds == Protocol().thresholds


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("both_fits = 'stratum_1'", "both_fits"),
        ("[thresholds]\nstratum_3_percent = 70", "thresholds.stratum_3_percent"),
        ("both_fit = 'ineligible'", "both_fit"),
        ("both_fit = 1", "both_fit"),
        ("ablation_counts = 1", "ablation_counts"),
        ("ablation_counts = 'yes'", "ablation_counts"),
        ("exclusion_b = 'none'", "exclusion_b"),
        ("tumour_scope = 'primary'", "tumour_scope"),
        ("pet_only_in_total = 0", "pet_only_in_total"),
        ("connectivity = 8", "connectivity"),
        ("connectivity = 26.0", "connectivity"),
        ("connectivity = true", "connectivity"),
        ("minimum_voxels = 0", "minimum_voxels"),
        ("minimum_voxels = 1.5", "minimum_voxels"),
        ("attribution_distance_mm = -1", "attribution_distance_mm"),
        ("attribution_distance_mm = nan", "attribution_distance_mm"),
        ("attribution_distance_mm = inf", "attribution_distance_mm"),
        ("geometry_tolerance_mm = -0.1", "geometry_tolerance_mm"),
        ("geometry_tolerance_mm = 10000", "geometry_tolerance_mm"),  # an error silenced, not a tolerance
        ("whole_lesion_percent = 50", "whole_lesion_percent"),  # two markings could both reach it
        ("whole_lesion_percent = 100.1", "whole_lesion_percent"),
        ("thresholds = 70", "thresholds"),
        ("[thresholds]\nstratum_1_percent = 0", "stratum_1_percent"),
        ("[thresholds]\nstratum_1_percent = 100.01", "stratum_1_percent"),
        ("[thresholds]\nstratum_2_percent = -1", "stratum_2_percent"),
        ("[thresholds]\nstratum_1_percent = '70'", "stratum_1_percent"),
        ("[thresholds]\nstratum_1_percent = nan", "stratum_1_percent"),
        ("[review]\nopen_choices = ['thresholds']", "thresholds"),
        ("[review]\nopen_choices = 'pet_only_in_total'", "open_choices"),
        ("boundary_shift_mm = [-1, nan]", "boundary_shift_mm"),
        ("boundary_shift_mm = [inf]", "boundary_shift_mm"),
        ("id = 7", "id"),
    ],
)
def test_wrong_field_is_refused_by_name(text: str, names: str) -> None:
    """Each field's impossible value is one sentence that names the file and the field."""
    with pytest.raises(ProtocolError) as caught:
        from_toml(text)
    assert names in caught.value.message
    assert "mine.toml" in caught.value.message


@pytest.mark.parametrize(
    "text",
    [
        "[volume_error]\ncorrelation = 2",
        "[remnant]\nlimit_normal_percent = 0",
        "[review]\nopen_choices = ['x']",
        "[thresholds]\nstratum_1_percent = 0",
    ],
)
def test_a_table_is_named_once(text: str) -> None:
    """`volume_error.correlation`, which a reader can find; not `volume_error.volume_error.correlation`."""
    with pytest.raises(ProtocolError) as caught:
        from_toml(text)
    table = text[1 : text.index("]")]
    assert caught.value.message.startswith(f"mine.toml: {table}.")
    assert caught.value.message.count(f"{table}.") == 1


def test_roles_that_a_naming_table_leaves_out_keep_their_patterns() -> None:
    """As every other table's fields do; avid disease is still looked for first, and none is lost."""
    naming = from_toml("[naming]\ntumour = ['PRIM*']\nliver = []").naming
    assert naming == {**NAMING, "tumour": ("PRIM*",), "liver": ()}
    assert list(naming) == list(NAMING)


def test_threshold_of_exactly_100_percent_and_smallest_decimals_are_allowed() -> None:
    """Bounds are above 1 and up to 100."""
    found = from_toml("[thresholds]\nstratum_1_percent = 100\nstratum_2_percent = 1.01").thresholds
    assert (found.stratum_1_percent, found.stratum_2_percent) == (Decimal(100), Decimal("1.01"))


@pytest.mark.parametrize(
    "text",
    [
        "[thresholds]\nstratum_1_percent = 0.7",
        "[thresholds]\nstratum_2_percent = 1.0",
        "[remnant]\nlimit_cirrhosis_percent = 0.4",
        "[volume_error]\nwcv_percent = [0.282, 0.141, 0.103, 0.085, 0.085]",
        "[avidity]\nrule = 'fixed'\nsuv_threshold = 4\ndelineation = 'percent_of_max'\npercent_of_max = 0.41",
        "whole_lesion_percent = 0.95",
    ],
)
def test_a_fraction_where_a_percentage_is_meant_is_refused(text: str) -> None:
    """0.7 for 70 %: all but nothing of the tumour would be enough for stratum 1."""
    with pytest.raises(ProtocolError, match=r"percentage|above 1 and at most 100|above 50") as caught:
        from_toml(text)
    assert text.rpartition(" = ")[0].rpartition("\n")[2] in caught.value.message


def test_a_percentage_where_an_suv_is_meant_is_refused() -> None:
    """41 is a share of the maximum: with it as a threshold nothing would be avid."""
    with pytest.raises(
        ProtocolError, match=r"suv_threshold is 41\.0; it must be a number above 0 and at most 30"
    ):
        from_toml("[avidity]\nrule = 'fixed'\nsuv_threshold = 41")
    assert from_toml("[avidity]\nrule = 'fixed'\nsuv_threshold = 30").avidity.suv_threshold == 30


def test_schema_holds_the_packaged_protocol_and_refuses_unknown_keys() -> None:
    """The JSON Schema comes from the fields themselves."""
    validator: Any = import_module("jsonschema").Draft202012Validator(protocol_schema())
    data = tomllib.loads(PACKAGED)
    assert validator.is_valid(data)
    assert not validator.is_valid({**data, "both_fits": "stratum_1"})
    assert not validator.is_valid({**data, "connectivity": 8})
    assert not validator.is_valid({**data, "thresholds": {"stratum_3_percent": 70}})


def test_nobody_changes_the_naming_of_a_protocol_in_passing() -> None:
    """One protocol judges a whole cohort; it travels to other processes as it is."""
    protocol = protocol_from_mapping({"naming": {"liver": ["hepar"]}})
    with pytest.raises(TypeError, match="cannot be changed"):
        protocol.naming["liver"] = ()  # type: ignore[index]
    again = pickle.loads(pickle.dumps(protocol))
    assert again == protocol
    assert again.naming["liver"] == ("hepar",)
    assert list(again.naming) == list(NAMING)
