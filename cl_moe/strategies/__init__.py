"""The only room that touches an Avalanche strategy: the plugin, the template, the methods."""
