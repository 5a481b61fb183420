"""Many ranks: each analysed where it can be read, one answer for all of them."""
