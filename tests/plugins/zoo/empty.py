"""A plugin that has no hooks at all."""
