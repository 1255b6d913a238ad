"""DICOM out: what was measured goes back to where the images came from."""
