//! edge

pub mod config;
mod dns;
mod metadata;
#[cfg(test)]
mod testing;
