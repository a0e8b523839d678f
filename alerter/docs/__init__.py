"""The alerter's reference pages, made of what the code declares: `python -m alerter.docs` writes them."""
