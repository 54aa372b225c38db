//! edge

pub mod config;
