//! Provider bytes in, pieces out.
