"""What the trial's rule says: lesions, attribution, predicates, strata. The 70 % is decided here."""
