"""Recipes of the bundled models: what is shipped can be made again."""
