"""What every call of a stage begins with and tells: config, help, console, environment."""
