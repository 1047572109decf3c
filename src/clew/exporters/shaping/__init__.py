"""What is done to a native row before it becomes a format's: one concern, one module."""
