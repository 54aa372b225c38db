//! Lets groups launch instances the way `RunInstances` does.

use api::Cloud;
use api::ec2::launch::{Site, from_template};
use control::Launcher;
use std::sync::Arc;

pub fn launcher(cloud: Arc<Cloud>) -> Launcher {
    Box::new(move |tx, scope, wanted, now| {
        let site = Site::new(&cloud, scope, now);
        from_template(tx, &site, wanted)
    })
}
