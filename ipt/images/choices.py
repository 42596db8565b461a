"""Words that options take, here without anything else: the command line's help needs them, and loads no torch."""

FIT_CHOICES = ("error", "resize", "crop", "tile")
FORMAT_CHOICES = ("png", "same", "tiff", "jpeg")
SUFFIXES = (".png", ".jpg", ".jpeg", ".tif", ".tiff", ".webp", ".bmp", ".gif")
"""Of files that are pictures."""
