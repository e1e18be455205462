"""What is kept on disk: models and training sets."""
