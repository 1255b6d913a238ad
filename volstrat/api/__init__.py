"""The library: what ``import volstrat`` gives to scripts and notebooks."""
