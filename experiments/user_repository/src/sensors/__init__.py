"""A user's own project: two hidden causes, three sensors, and data from several sites."""
