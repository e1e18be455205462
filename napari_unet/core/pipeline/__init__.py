"""The two flows: an image becomes labels (`segment`), and labels become a better model (`train`, `fine_tune`)."""
