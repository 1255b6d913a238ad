"""How numbers and words are shown, wherever people see them."""
