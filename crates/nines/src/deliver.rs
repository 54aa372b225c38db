//! Puts logs of the cloud's own services into buckets.

use api::Cloud;
use control::{Deliver, Delivery};
use jiff::Timestamp;
use std::sync::Arc;
use store::Store;
use wire::HttpRequest;

/// By the very call a client makes, in the name of the bucket's owner, whose policy was asked when
/// logs were turned on.
pub fn deliver(store: Arc<Store>, cloud: Arc<Cloud>) -> Deliver {
    Arc::new(move |delivery: Delivery| {
        let call = api::s3::Call {
            request: HttpRequest {
                method: "PUT".into(),
                path: format!("/{}/{}", delivery.bucket, delivery.key),
                query: String::new(),
                headers: Vec::new(),
                body: delivery.body,
            },
            scope: delivery.scope,
            access_key: "logdelivery".into(),
            now: Timestamp::now(),
            request_id: String::new(),
        };
        // The last moments before a crash may lack a log, as AWS's best effort allows.
        let answer = api::s3::answer(&store, &cloud, call, &|commit| {
            commit.forget();
            Ok(())
        });
        match answer.status {
            200 => Ok(()),
            _ => Err(String::from_utf8_lossy(&answer.body.to_vec()).into_owned()),
        }
    })
}
