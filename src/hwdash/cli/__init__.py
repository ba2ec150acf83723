"""The hwdash command, one file a command."""
