//! Lets controllers launch instances the way `RunInstances` does.

use api::Cloud;
use api::ec2::launch::{Site, from_template};
use api::ec2::spot_launch::fulfil;
use control::{Launcher, SpotLauncher, Starter};
use std::sync::Arc;

pub fn launcher(cloud: Arc<Cloud>) -> Launcher {
    Box::new(move |tx, scope, wanted, now| {
        let site = Site::new(&cloud, scope, now);
        from_template(tx, &site, wanted)
    })
}

pub fn spot_launcher(cloud: Arc<Cloud>) -> SpotLauncher {
    Box::new(move |tx, request, now| {
        let site = Site::new(&cloud, &request.scope, now);
        fulfil(tx, &site, request)
    })
}

/// Lets groups start what their warm pools hold stopped.
pub fn starter(cloud: Arc<Cloud>) -> Starter {
    Box::new(move |tx, id, now| api::ec2::start_one(tx, cloud.public_pool, id, now))
}
