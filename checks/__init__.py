"""The built-in checks; one file each, found by the registry and imported by nobody."""
