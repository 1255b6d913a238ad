"""Where voxels lie and what they enclose: grids, runs, masks, components, contours, surfaces, diameters."""
