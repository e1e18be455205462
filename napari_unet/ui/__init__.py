"""The dock in napari: the only floor that knows Qt and layers."""
