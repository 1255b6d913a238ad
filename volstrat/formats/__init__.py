"""Volume files in: NIfTI, NRRD and MetaImage, streamed into voxel runs."""
