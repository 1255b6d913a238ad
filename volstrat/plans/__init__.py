"""Surgical plans: what a stated plan takes, leaves and spares; and which unions of segments would do."""
