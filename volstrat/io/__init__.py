"""Formats in and out. Nothing here measures or decides."""
