"""RT Structure Sets into masks."""
