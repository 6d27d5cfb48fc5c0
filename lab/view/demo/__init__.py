"""The live demo in a terminal: rows of text from a scene, and the terminal that shows them."""
