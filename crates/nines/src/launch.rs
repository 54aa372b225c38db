//! Lets groups launch instances the way `RunInstances` does.

use api::Cloud;
use api::ec2::launch::{Site, from_template};
use control::Launcher;
use std::sync::Arc;

pub fn launcher(cloud: Arc<Cloud>) -> Launcher {
    Box::new(move |tx, scope, wanted, now| {
        let site = Site {
            scope,
            now,
            public_pool: cloud.public_pool,
            images: &cloud.images,
        };
        from_template(tx, &site, wanted)
    })
}
