//! `nines certificate`.

use crate::layout::State;
use anyhow::{Context, Result};
use std::path::Path;

pub fn print(state: &Path, which: &str) -> Result<()> {
    let certificates = State(state.to_owned()).certificates();
    let path = match which {
        "identity" => certificates.identity(),
        _ => certificates.authority(),
    };
    let pem = std::fs::read_to_string(&path).with_context(|| {
        format!(
            "failed to read {}; has a cloud been up with this --state?",
            path.display()
        )
    })?;
    print!("{pem}");
    Ok(())
}
