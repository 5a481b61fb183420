"""Files of the user's: written whole or not at all, rules and priors read, progress shown."""
