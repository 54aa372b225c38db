//! A connection of HTTP/2 ends after ten thousand requests, and none of them is lost
//! (A/load-balancer-listeners.html). A file of its own: it keeps a core busy for some seconds.

mod common;

use balancer::config::{Action, FixedResponse};
use common::http2::*;

/// The most that are under way at once: a few more than ten thousand may have been sent before the
/// client is told.
const AT_ONCE: usize = 64;

#[test]
fn ten_thousand_requests_and_no_answer_is_missing() {
    let (balancer, made) = start(&[], |config| {
        let fixed = FixedResponse {
            status: 200,
            ..FixedResponse::default()
        };
        for listener in &mut config.load_balancers[0].listeners {
            listener.default_action = Action::FixedResponse(fixed.clone());
        }
    });
    block_on(async {
        let sender = connect(&balancer, &made).await;
        let mut answered = 0;
        let mut takes_more = true;
        while takes_more {
            let mut under_way = Vec::new();
            while takes_more && under_way.len() < AT_ONCE {
                let sent = match sender.clone().ready().await {
                    Ok(mut sender) => sender.send_request(get("/"), true).ok(),
                    Err(_) => None,
                };
                takes_more = sent.is_some();
                under_way.extend(sent.map(|(response, _)| response));
            }
            for response in under_way {
                let response = response.await.expect("what was sent is answered");
                assert_eq!(response.status(), 200);
                answered += 1;
            }
        }
        assert!(
            (10_000..=10_000 + AT_ONCE).contains(&answered),
            "{answered}"
        );
        // The next connection starts anew.
        let sender = connect(&balancer, &made).await;
        assert_eq!(ask(&sender, get("/"), &[]).await.status, 200);
    });
}
