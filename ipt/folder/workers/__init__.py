"""Who solves a folder's pictures: this process, several processes of this machine, or a Ray cluster."""
