"""Documents, cases, headings and chunks: everything that is a span of a document's canonical text."""
