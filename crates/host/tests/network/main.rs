//! The network on a real kernel: who reaches whom, with which source address, and when not.
//!
//! Each test has its own cloud name and its own slice of public addresses; packets stay in
//! namespaces these tests make. Without root they say so and pass.

mod filter;
mod lab;
mod life;
mod reach;
mod route;
mod uplink;
