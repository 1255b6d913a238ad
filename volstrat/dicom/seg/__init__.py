"""DICOM Segmentation objects into masks."""
