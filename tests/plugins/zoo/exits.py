"""A plugin that ends the process."""

import sys

sys.exit(3)
