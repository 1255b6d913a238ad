"""What the PET shows: uptake, avid regions, reference regions, the avidity rules."""
