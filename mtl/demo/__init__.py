"""A local web page on which a network can be tried (`tools/web_demo.py`)."""
