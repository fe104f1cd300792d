"""From a public model to an answer: who is asked, with what key; and answers read by hand."""
