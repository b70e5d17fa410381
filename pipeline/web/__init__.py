"""The page: what a browser is served. It knows no database; its figures come from whoever starts it."""
