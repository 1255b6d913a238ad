"""One case: from its folder to its record."""
