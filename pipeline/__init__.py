"""From the file to the exchange, and what a person does with it; knows files, formats and the broker."""
