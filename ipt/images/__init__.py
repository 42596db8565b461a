"""Pictures from files and back, and pictures of kernels, fields and residuals."""
