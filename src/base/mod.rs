//! Pure helpers: numbers as text, glob, checksums, LZF, time types, seeded random.
