"""Words that options take, here without anything else: the command line's help needs them, and loads no torch."""

FIT_CHOICES = ("error", "resize", "crop", "tile")
FORMAT_CHOICES = ("png", "same", "tiff", "jpeg")
