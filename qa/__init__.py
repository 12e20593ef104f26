"""Questions to answers: what a question asks, which passages answer it, and how they are cited."""
