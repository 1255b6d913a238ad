"""How sure the verdict is: intervals, flips, the shortest way, shifts; and the verdict with its findings."""
