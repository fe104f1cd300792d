"""The version of the library; a test holds it equal to the one in Cargo.toml."""

VERSION = "0.1.0"
