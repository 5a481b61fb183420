"""Words for people: sentences in every language that is offered, and text from files made harmless."""
