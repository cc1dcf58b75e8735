"""The plugins that ship with the package, one a folder."""
