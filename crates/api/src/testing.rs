//! What tests of actions share: a context on a store in memory.

use crate::{Cloud, Ctx, ec2};
use model::{Scope, Timestamp};
use serde::de::DeserializeOwned;
use std::sync::Arc;
use store::Store;

/// Runs `f` in one transaction of an account with its default VPC in us-east-1.
pub fn run<T>(f: impl FnOnce(&mut Ctx) -> T) -> T {
    let scope = Scope::new("000000000000", "us-east-1");
    let now = Timestamp::UNIX_EPOCH;
    let store = Store::in_memory();
    store.update(|tx| ec2::ensure_defaults(tx, &scope, now));
    let cloud = Cloud {
        metrics: Arc::default(),
        public_pool: "198.18.0.0/15".parse().unwrap(),
        state_dir: std::env::temp_dir(),
        images: ["debian-12", "debian-12-docker"].into(),
        strict_images: false,
        privileged_instances: false,
        speed: Default::default(),
        console: Box::new(|_| None),
    };
    let mut ctx = Ctx {
        tx: store::Tx::reading(&store.snapshot()),
        scope,
        now,
        access_key: "test".into(),
        from_host: true,
        request_id: "request".into(),
        cloud: Arc::new(cloud),
    };
    f(&mut ctx)
}

/// The input of an action, by the names of the wire.
pub fn input<T: DeserializeOwned>(members: serde_json::Value) -> T {
    serde_json::from_value(members).unwrap()
}
