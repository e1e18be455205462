"""State, jobs, annotations and undo: what the dock and the command line share."""
