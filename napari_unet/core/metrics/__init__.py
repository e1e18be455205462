"""Say how well a prediction agrees with the truth: objects in `instances`, masks and classes in `semantic`."""
