"""The folder of a study: its files, their checks, the lock, exports."""
