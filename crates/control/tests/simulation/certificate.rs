//! Certificates are issued, served and renewed.

use crate::cloud::Cloud;
use crate::stack;
use jiff::SignedDuration;
use model::acm::{Certificate, CertificateOrigin};

const ARN: &str = "arn:aws:acm:us-east-1:000000000000:certificate/one";

fn request(cloud: &Cloud) {
    let certificate = Certificate {
        arn: ARN.into(),
        scope: cloud.scope.clone(),
        domain_name: "a.example".into(),
        names: vec!["a.example".into()],
        origin: CertificateOrigin::Requested {
            key_algorithm: "EC_prime256v1".into(),
            transparency_logging: true,
            idempotency_token: None,
        },
        material: None,
        created: cloud.now(),
        issued: None,
        tags: Default::default(),
    };
    cloud.store.update(|tx| tx.put(certificate));
}

fn body(cloud: &Cloud) -> Option<String> {
    let state = cloud.state();
    let material = state.certificates.get(ARN)?.material.clone();
    material.map(|material| material.body)
}

#[test]
fn a_requested_certificate_is_issued_served_and_renewed() {
    let mut cloud = Cloud::new(1.0);
    let web = stack::load_balancer(&cloud, "web");
    let listener = format!(
        "CreateListener&LoadBalancerArn={}&Protocol=HTTPS&Port=443&Certificates.member.1.CertificateArn={ARN}&DefaultActions.member.1.Type=forward&DefaultActions.member.1.TargetGroupArn={}",
        web.load_balancer, web.target_group
    );
    request(&cloud);
    let early = cloud.call(api::elbv2::service(), "2015-12-01", &listener);
    assert!(early.unwrap_err().starts_with("UnsupportedCertificate"));
    cloud.settle();
    let first = body(&cloud).expect("a certificate");
    cloud.elbv2(&listener);
    cloud.settle();
    let config = cloud.plane.config();
    assert!(config.certificates[ARN].chain.starts_with(first.trim_end()));
    let mut listeners = config.load_balancers[0].listeners.iter();
    let secure = listeners.find(|l| l.port == 443).unwrap();
    let tls = secure.tls.as_ref().unwrap();
    assert_eq!(tls.certificates, [ARN]);
    assert!(tls.protocols.contains(&"TLSv1.2".into()) && !tls.ciphers.is_empty());
    // Not before it is due.
    cloud.settle();
    assert_eq!(body(&cloud), Some(first.clone()));
    let old = cloud.now() - SignedDuration::from_hours(336 * 24);
    cloud.store.update(|tx| {
        tx.modify::<Certificate>(&ARN.to_owned(), |c| c.issued = Some(old));
    });
    cloud.settle();
    let renewed = body(&cloud).unwrap();
    assert_ne!(renewed, first);
    assert!(
        cloud.plane.config().certificates[ARN]
            .chain
            .starts_with(renewed.trim_end())
    );
}
