"""What names of segments, ROIs and labels say."""

from __future__ import annotations

import pytest

from volstrat.terms.naming import said_by
from volstrat.terms.protocol import NAMING
from volstrat.terms.roles import ROLE_OF_STEM


@pytest.mark.parametrize("stem", ROLE_OF_STEM)
def test_a_role_s_own_stem_denies_no_role(stem: str) -> None:
    """No pattern of denial or doubt is tried on it; with a number behind it they are."""
    for name in (stem, f"{stem} 1"):
        said = said_by(name, (), NAMING)
        assert (said.denied, said.doubted) == (frozenset(), frozenset())
