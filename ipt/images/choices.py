"""The choices of `ipt.images.fit`, apart from it because the help of the command line loads no torch."""

FIT_CHOICES = ("error", "resize", "crop", "tile")
