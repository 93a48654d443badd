"""Methods: their networks, their plugins, and how they are built."""
