"""Results out, safely: whole files, locks, tables, seals, the chained trail."""
