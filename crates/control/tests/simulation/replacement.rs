//! Groups fill, and replace what breaks.

use crate::cloud::Cloud;
use crate::{stack, timeline};

#[test]
fn a_group_fills_both_zones_and_serves() {
    let mut cloud = Cloud::new(1.0);
    stack::web(&cloud, "web", (2, 6, 4), 300);
    cloud.until("at rest", 60.0, |c| c.at_rest("web"));
    assert_eq!(cloud.serving("web").into_values().collect::<Vec<_>>(), [2, 2]);
    println!("{}", timeline::of(&cloud));
}
