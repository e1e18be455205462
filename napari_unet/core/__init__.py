"""Pure computation: arrays in, arrays out; no Qt, no napari."""
