"""The commands; nothing heavy is imported before a command needs it."""
