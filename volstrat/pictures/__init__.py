"""What a case looks like: slices, projections, outlines, as PNG."""
