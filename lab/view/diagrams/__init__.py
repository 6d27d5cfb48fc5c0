"""A topology drawn without building anything: as mermaid, as dot, and as an SVG with a layout of its own."""
