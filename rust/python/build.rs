//! Refuses to build a wheel without its Python half.
//!
//! `python/tinyagent/{runtime,actors,events}` are symbolic links. A checkout made with
//! `core.symlinks=false` has text files there, and maturin would build an empty package silently.
use std::{env, path::Path};

fn main() {
    let root = Path::new(&env::var("CARGO_MANIFEST_DIR").unwrap()).join("../..");
    for package in ["runtime", "actors", "events"] {
        let init = root
            .join("python/tinyagent")
            .join(package)
            .join("__init__.py");
        println!("cargo::rerun-if-changed={}", init.display());
        assert!(
            init.is_file(),
            "{} is missing: python/tinyagent/{package} must be a symbolic link to ../../{package} \
             (git config core.symlinks true; git checkout -- python)",
            init.display(),
        );
    }
}
