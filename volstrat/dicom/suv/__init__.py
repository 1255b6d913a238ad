"""PET headers into SUV factors: dose, weight, times, decay."""
