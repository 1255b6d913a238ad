"""Findings on surgical plans."""

from __future__ import annotations

from volstrat.terms.catalogue.entry import entries

PLAN_FINDINGS = entries("""
plan_not_chosen (blocking)
    says: None of the {count} plans is chosen: {strata}. Choose one on the page, or write chosen = "NAME" at
        the top of case.toml.
    means: the case has surgical plans and nobody chose one; every plan's stratum is listed
    do: Choose the plan that the meeting decided on.
plan_cuts_lesion (review)
    says: Plan {plan}: the cut runs through {lesion}: {cut_ml:.2f} of its {volume_ml:.2f} ml are taken, the
        rest is not cut.
    means: a plan's cut runs through a lesion; only the part that is cut counts
    do: Check the segments' borders there, or add a wedge.
plan_site (review)
    outside: Plan {plan} {verb} {lesion}, which is not in the liver. Say what is done with it in the plan:
        outside_liver = {{ {lesion} = "..." }}.
    dismissed: Plan {plan} {verb} {lesion}, marked as no tumour: nothing is done with it.
    inside: Plan {plan} names {lesion} under outside_liver, but it lies in the liver, where the cut and the
        ablations say what becomes of it. Correct its site in the lesion table, or the plan.
    means: a plan takes a lesion for one in the liver, or outside it, that lies on the other side
    do: Give the lesion's `site` in the lesion table, or correct the plan.
plan_by_number (warning)
    says: Plan {plan} names {lesions} by number alone, and these numbers go by size: they change when the mask
        does. If the mask was edited after the plan was written, look which lesions are meant; a wedge or an
        ablation can name its lesion by a point in it (point_mm).
    means: a plan names lesions by numbers that go by size
    do: Give `point_mm` in place of `lesion`, or a tumour mask in which each lesion is a label of its own.
liver_leaves_tumour_out (review)
    says: Plan {plan}: {volume_ml:.2f} ml of {lesion} lie outside the liver mask, where no segment and no
        wedge reaches. Draw the liver with its tumours.
    means: a part of a liver lesion lies outside the liver mask, so that no cut takes it
    do: Draw the liver with its tumours.
plan_does_nothing (review)
    says: Plan {plan} cuts nothing out and ablates nothing.
    means: a plan cuts nothing out, ablates nothing and says nothing of tumour outside the liver
    do: Complete the plan, or take it out.
plan_leaves_no_liver (review)
    segments: Plan {plan} resects every segment of the map.
    remnant: Plan {plan} leaves no liver.
    means: a plan resects every segment, or leaves no liver
    do: Correct the plan.
ablation_too_large (review)
    says: Plan {plan} ablates {lesion}, {diameter_mm:.1f} mm across; the protocol's limit is {limit_mm:g} mm.
    means: a plan ablates a lesion larger than the protocol's `ablation_largest_mm`
    do: Check that ablation is meant.
margin_short (review)
    says: Plan {plan} {verb} {lesion} with a margin of {margin_mm:g} mm; the least of the protocol is
        {limit_mm:g} mm.
    means: a margin round a lesion is below the protocol's `ablation_margin_mm` or `wedge_margin_mm`
    do: Check the margin.
ablation_in_cut (warning)
    says: Plan {plan} ablates {lesion}, which its cut takes out whole.
    means: a plan ablates what it cuts out as well; it counts as cut out
    do: Leave out one of the two.
segments_incomplete (review)
    says: {volume_ml:.1f} ml of the liver lie in no segment of the map; a plan by segments leaves them.
    means: liver voxels lie in no segment of the map; they stay
    do: Check the map against the liver mask.
segments_beyond_liver (info)
    says: {volume_ml:.1f} ml of the segments lie outside the liver mask; they are no part of a cut.
    means: segments reach beyond the liver mask; that part is ignored
plan_over_marking (warning)
    table: The plan decides on {lesions}; the lesion table's decision is not used.
    mask: The plan decides in the liver; the drawn resectable area is not used there.
    means: plans stand beside a resectable mask or markings in the table; in the liver the plan counts
    do: Take the marking or the mask away.
remnant_mask_not_used (info)
    says: The remnant is what the plan leaves; the drawn remnant mask is not used.
    means: a case has plans beside a remnant mask; the plan's own remnant is measured
""")
