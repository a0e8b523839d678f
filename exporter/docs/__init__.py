"""The reference pages, made of what the code declares: `python -m exporter.docs` writes them, `--check` compares."""
