"""Labels: what every kernel works for, found from names, shapes, neighbours, order and repetition together."""
