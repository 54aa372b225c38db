//! Lets groups launch instances the way `RunInstances` does.

use api::Cloud;
use api::ec2::launch::{Site, from_template};
use control::{Launcher, Starter};
use std::sync::Arc;

pub fn launcher(cloud: Arc<Cloud>) -> Launcher {
    Box::new(move |tx, scope, wanted, now| {
        let site = Site::new(&cloud, scope, now);
        from_template(tx, &site, wanted)
    })
}

/// Lets groups start what their warm pools hold stopped.
pub fn starter(cloud: Arc<Cloud>) -> Starter {
    Box::new(move |tx, id, now| api::ec2::start_one(tx, cloud.public_pool, id, now))
}
