"""How two or more readings agree, and which ingredient carries a difference."""
