"""The search index: vectors, words, their fusion, and where they lie on disk. Rows are known only here."""
