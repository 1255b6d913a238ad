"""The science: numpy and scipy only; no files, no TOML, no clock, no environment."""
