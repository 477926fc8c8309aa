"""What the pages are made of when the documentation is built. Nothing here is part of the package."""
