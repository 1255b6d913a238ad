"""DICOM in: folders, CT and PT series, segmentations, structure sets, SUV."""
