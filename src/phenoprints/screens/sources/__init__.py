"""One file per source: what the layout of a dataset or of a microscope's export means."""
