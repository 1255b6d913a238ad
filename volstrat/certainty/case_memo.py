"""What of a case was worked out already and a mark does not change; passed beside its values."""

from __future__ import annotations

from typing import TYPE_CHECKING

from volstrat.certainty.contradictions import lesions_at_edge
from volstrat.certainty.pet_shift import MovedUptake
from volstrat.geometry.boundary_shift import ShiftedVolumes
from volstrat.rule.lesion_uptake import UptakeMemo, measure_uptake

if TYPE_CHECKING:
    from volstrat.rule.attribution import Attribution
    from volstrat.rule.lesion_uptake import Uptakes
    from volstrat.rule.lesions import Lesions
    from volstrat.rule.measure import Measurements
    from volstrat.rule.stratify import Assessment


class CaseMemo:
    """Remembers moved boundaries, moved PET and uptake of one case, under the last marks that changed them.

    Uptake rests on images, on attribution and on which lesions and regions are called not avid.
    """

    def __init__(self) -> None:
        self.shifted = ShiftedVolumes()
        self.moved = MovedUptake()
        self._uptake: tuple[Attribution | None, tuple[bytes, bytes], tuple[Uptakes, Uptakes]] | None = None
        self._of_voxels = UptakeMemo()
        self._at_edge: tuple[Lesions, list[int]] | None = None

    def uptake(self, measured: Measurements, assessment: Assessment) -> tuple[Uptakes, Uptakes]:
        """Return what `measure_uptake` gives of the one case that this belongs to."""
        words = (measured.words.avidity.tobytes(), measured.region_words.dismissed.tobytes())
        if self._uptake is None or self._uptake[0] is not measured.attribution or self._uptake[1] != words:
            found = measure_uptake(measured, assessment, known=self._of_voxels)
            self._uptake = (measured.attribution, words, found)
        return self._uptake[2]

    def at_edge(self, measured: Measurements) -> list[int]:
        """Return what `lesions_at_edge` gives of the one case that this belongs to."""
        if self._at_edge is None or self._at_edge[0] is not measured.lesions:
            self._at_edge = (measured.lesions, lesions_at_edge(measured))
        return self._at_edge[1]
