"""DICOM in: folders, series, geometry, pixels; SEG, RTSTRUCT and SUV in their own packages."""
