"""What everything else stands on: images, errors, progress, tiles, normalisation, devices."""
