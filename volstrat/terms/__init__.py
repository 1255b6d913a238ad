"""What words mean: protocols and their choices, markings, avidity rules, findings."""
