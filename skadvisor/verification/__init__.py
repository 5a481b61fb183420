"""The three checks that a scope has to pass: compiled in, same output, faster."""
