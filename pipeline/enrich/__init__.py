"""What follows from a value and from files: countries, networks, browsers, and tables of the user's own."""
