"""Segment, correct and fine-tune: U-Nets for microscopy and MRI stacks in napari."""

__version__ = "0.1.0"
