"""What may happen to a picture that a prior does not take as it is (`ipt.images.fit`). Without torch: the command line
names them in its help."""

FIT_CHOICES = ("error", "resize", "crop", "tile")
