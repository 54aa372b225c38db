use super::*;
use ::balancer::report::TargetMetrics;
use model::elbv2::TargetHealth;

fn node(zone: &str, requests: u64, healthy: u64) -> NodeMetrics {
    NodeMetrics {
        load_balancer: "app/lb/1".into(),
        node: zone.into(),
        zone: zone.into(),
        groups: vec![GroupMetrics {
            target_group: "targetgroup/web/1".into(),
            healthy_host_count: healthy,
            targets: vec![TargetMetrics {
                request_count: requests,
                ..Default::default()
            }],
            ..Default::default()
        }],
        ..Default::default()
    }
}

#[test]
fn connections_are_averaged_and_the_dearest_dimension_counts() {
    let metrics = Metrics::default();
    let scope = Scope::new("000000000000", "us-east-1");
    let second = |zone: &str, active: u64, new: u64| NodeMetrics {
        active_connection_count: active,
        new_connection_count: new,
        ..node(zone, 0, 1)
    };
    let counts = [
        second("a", 100, 50),
        second("a", 300, 50),
        second("b", 50, 0),
    ];
    let start = Timestamp::UNIX_EPOCH;
    connections(&metrics, &scope, "app/lb/1", &counts, start);
    let check = |name: &str, dimensions: &[(&str, &str)], expected: f64| {
        let key = MetricKey::new(&scope, ALB, name, dimensions);
        let end = Timestamp::from_second(60).unwrap();
        let sum = metrics.query(&key, None, start, end, 60_000, &metrics::Statistic::Sum);
        assert_eq!(sum, [(start, expected)], "{name} {dimensions:?}");
    };
    let whole = ("LoadBalancer", "app/lb/1");
    check("ActiveConnectionCount", &[whole], 250.0);
    check(
        "ActiveConnectionCount",
        &[whole, ("AvailabilityZone", "a")],
        200.0,
    );
    check("ConsumedLCUs", &[whole], 2.0);
}

/// One target in zone a, three in zone b, and zones not crossed.
#[test]
fn requests_per_target_are_of_all_nodes_over_all_targets() {
    let metrics = Metrics::default();
    let scope = Scope::new("000000000000", "us-east-1");
    let store = store::Store::in_memory();
    for target in ["i-1", "i-2", "i-3", "i-4"] {
        let health = TargetHealth {
            target_group: "arn:aws:elasticloadbalancing:us-east-1:000000000000:targetgroup/web/1"
                .into(),
            target: target.into(),
            port: 80,
            state: TargetState::Healthy,
            reason: None,
            since: Timestamp::UNIX_EPOCH,
            is_anomalous: false,
            is_mitigated: false,
            is_shifted: false,
        };
        store.update(|tx| tx.put(health));
    }
    let state = store.snapshot();
    let start = Timestamp::UNIX_EPOCH;
    let counts = [
        node("a", 60, 1),
        node("b", 50, 3),
        node("a", 0, 1),
        node("b", 10, 3),
    ];
    requests_per_target(&metrics, &state, &scope, "app/lb/1", &counts, start);
    let check = |dimensions: &[(&str, &str)], expected: f64| {
        let key = MetricKey::new(&scope, ALB, "RequestCountPerTarget", dimensions);
        let end = Timestamp::from_second(60).unwrap();
        let sum = metrics.query(&key, None, start, end, 60_000, &metrics::Statistic::Sum);
        assert_eq!(sum, [(start, expected)], "{dimensions:?}");
    };
    let group = ("TargetGroup", "targetgroup/web/1");
    check(&[group], 30.0);
    check(&[group, ("LoadBalancer", "app/lb/1")], 30.0);
    check(&[group, ("AvailabilityZone", "a")], 60.0);
    check(&[group, ("AvailabilityZone", "b")], 20.0);
}

#[test]
fn grpc_requests_are_those_of_its_groups() {
    let metrics = Metrics::default();
    let scope = Scope::new("000000000000", "us-east-1");
    let mut counts = [node("a", 60, 1), node("b", 50, 3)];
    let mut other = counts[0].groups[0].clone();
    other.target_group = "targetgroup/http/2".into();
    counts[0].groups.push(other);
    let start = Timestamp::UNIX_EPOCH;
    let spoken = ["targetgroup/web/1".to_owned()];
    grpc_requests(&metrics, &scope, "app/lb/1", &spoken, &counts, start);
    let sum = |dimensions: &[(&str, &str)]| {
        let key = MetricKey::new(&scope, ALB, "GrpcRequestCount", dimensions);
        let end = Timestamp::from_second(60).unwrap();
        let points = metrics.query(&key, None, start, end, 60_000, &metrics::Statistic::Sum);
        points.first().map(|(_, value)| *value)
    };
    let (balancer, zone) = (("LoadBalancer", "app/lb/1"), ("AvailabilityZone", "a"));
    let group = ("TargetGroup", "targetgroup/web/1");
    assert_eq!(sum(&[balancer]), Some(110.0));
    assert_eq!(sum(&[balancer, zone]), Some(60.0));
    assert_eq!(sum(&[balancer, group]), Some(110.0));
    assert_eq!(sum(&[balancer, group, zone]), Some(60.0));
    let other = ("TargetGroup", "targetgroup/http/2");
    assert_eq!(sum(&[balancer, other]), None);
}

/// Each count of a node and of its groups: its name, unit and dimensions, and its value in all of them.
#[test]
fn counts_have_their_dimensions() {
    let metrics = Metrics::default();
    let scope = Scope::new("000000000000", "us-east-1");
    let counted = NodeMetrics {
        new_connection_count: 1,
        rejected_connection_count: 2,
        client_tls_negotiation_error_count: 3,
        processed_bytes: 4,
        elb_3xx: 5,
        elb_4xx: 6,
        elb_5xx: 7,
        elb_500: 8,
        elb_502: 9,
        elb_503: 10,
        elb_504: 11,
        http_redirect_count: 12,
        http_redirect_url_limit_exceeded_count: 13,
        http_fixed_response_count: 14,
        rule_evaluations: 15,
        non_compliant_request_count: 16,
        non_sticky_request_count: 17,
        dropped_invalid_header_request_count: 18,
        forwarded_invalid_header_request_count: 19,
        ..node("a", 0, 2)
    };
    let mut times = ::balancer::count::Histogram::default();
    (1..=100).for_each(|step| times.record(step * 10_000));
    let group = GroupMetrics {
        unhealthy_host_count: 1,
        unhealthy_routing_request_count: 7,
        anomalous_host_count: 1,
        mitigated_host_count: 1,
        zonal_shifted_host_count: 3,
        targets: vec![TargetMetrics {
            request_count: 100,
            target_2xx: 1,
            target_3xx: 2,
            target_4xx: 3,
            target_5xx: 4,
            target_connection_error_count: 5,
            target_tls_negotiation_error_count: 6,
            response_time: times,
            ..TargetMetrics::default()
        }],
        ..counted.groups[0].clone()
    };
    let start = Timestamp::UNIX_EPOCH;
    for zone in ["a", "b"] {
        let node = NodeMetrics {
            zone: zone.into(),
            ..counted.clone()
        };
        node_counts(&metrics, &scope, &node, start);
        group_counts(&metrics, &scope, "app/lb/1", &node, &group, start);
    }
    let (balancer, own) = (
        ("LoadBalancer", "app/lb/1"),
        ("TargetGroup", "targetgroup/web/1"),
    );
    let zone = ("AvailabilityZone", "a");
    let query = |name: &str, dimensions: &[(&str, &str)], statistic: &metrics::Statistic| {
        let key = MetricKey::new(&scope, ALB, name, dimensions);
        let end = Timestamp::from_second(60).unwrap();
        let points = metrics.query(&key, None, start, end, 60_000, statistic);
        points.first().map(|(_, value)| *value)
    };
    let sum =
        |name: &str, dimensions: &[(&str, &str)]| query(name, dimensions, &metrics::Statistic::Sum);
    let of_nodes = [
        "NewConnectionCount",
        "RejectedConnectionCount",
        "ClientTLSNegotiationErrorCount",
        "ProcessedBytes",
        "HTTPCode_ELB_3XX_Count",
        "HTTPCode_ELB_4XX_Count",
        "HTTPCode_ELB_5XX_Count",
        "HTTPCode_ELB_500_Count",
        "HTTPCode_ELB_502_Count",
        "HTTPCode_ELB_503_Count",
        "HTTPCode_ELB_504_Count",
        "HTTP_Redirect_Count",
        "HTTP_Redirect_Url_Limit_Exceeded_Count",
        "HTTP_Fixed_Response_Count",
        "RuleEvaluations",
        "DesyncMitigationMode_NonCompliant_Request_Count",
        "NonStickyRequestCount",
        "DroppedInvalidHeaderRequestCount",
        "ForwardedInvalidHeaderRequestCount",
    ];
    for (name, value) in of_nodes.into_iter().zip(1..) {
        let value = f64::from(value);
        let whole = (value < 18.0).then_some(2.0 * value);
        assert_eq!(sum(name, &[balancer]), whole, "{name}");
        assert_eq!(sum(name, &[balancer, zone]), Some(value), "{name}");
        assert_eq!(sum(name, &[balancer, own]), None, "{name}");
    }
    for (name, value, is_of_all) in [
        ("RequestCount", 100.0, true),
        ("HTTPCode_Target_2XX_Count", 1.0, true),
        ("HTTPCode_Target_3XX_Count", 2.0, true),
        ("HTTPCode_Target_4XX_Count", 3.0, true),
        ("HTTPCode_Target_5XX_Count", 4.0, true),
        ("TargetConnectionErrorCount", 5.0, true),
        ("TargetTLSNegotiationErrorCount", 6.0, true),
        ("UnhealthyRoutingRequestCount", 7.0, false),
        ("HealthyHostCount", 2.0, false),
        ("UnHealthyHostCount", 1.0, false),
        ("AnomalousHostCount", 1.0, false),
        ("MitigatedHostCount", 1.0, false),
        ("ZonalShiftedHostCount", 3.0, false),
    ] {
        assert_eq!(sum(name, &[balancer, own]), Some(2.0 * value), "{name}");
        assert_eq!(sum(name, &[balancer, own, zone]), Some(value), "{name}");
        assert_eq!(
            sum(name, &[balancer]),
            is_of_all.then_some(2.0 * value),
            "{name}"
        );
        assert_eq!(
            sum(name, &[balancer, zone]),
            is_of_all.then_some(value),
            "{name}"
        );
    }
    for dimensions in [
        &[balancer][..],
        &[balancer, zone],
        &[balancer, own],
        &[balancer, own, zone],
    ] {
        for (percentile, expected) in [(50.0, 0.5), (90.0, 0.9), (99.0, 0.99)] {
            let statistic = metrics::Statistic::Percentile(percentile);
            let got = query("TargetResponseTime", dimensions, &statistic).unwrap();
            // Times are counted in classes of about three hundredths.
            assert!(
                (got - expected).abs() < 0.04 * expected,
                "p{percentile}: {got}"
            );
        }
        let average = query(
            "TargetResponseTime",
            dimensions,
            &metrics::Statistic::Average,
        );
        assert!((average.unwrap() - 0.505).abs() < 0.01, "{average:?}");
    }
}
