//! `nines ca`: the certificate that clients of HTTPS listeners have to trust.

use super::ask;
use anyhow::Result;

pub fn print(port: u16) -> Result<()> {
    let answer = ask(port, "GET", "ca")?;
    print!("{}", answer["certificate"].as_str().unwrap_or_default());
    Ok(())
}
