//! When a suppressor holds actions back, second by second.

use super::*;

fn scope() -> Scope {
    Scope::new("000000000000", "us-east-1")
}

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(1_000_000 + second).unwrap()
}

fn composite(
    name: &str,
    rule: &str,
    suppressor: Option<model::cloudwatch::Suppressor>,
) -> CompositeAlarm {
    CompositeAlarm {
        arn: format!("arn:aws:cloudwatch:us-east-1:000000000000:alarm:{name}"),
        scope: scope(),
        name: name.into(),
        description: None,
        rule: rule.into(),
        actions_enabled: true,
        ok_actions: vec!["arn:aws:sns:us-east-1:000000000000:ok".into()],
        alarm_actions: vec!["arn:aws:sns:us-east-1:000000000000:alarm".into()],
        insufficient_data_actions: Vec::new(),
        suppressor,
        suppressed: None,
        updated: at(0),
        state: AlarmState::Ok,
        state_reason: String::new(),
        state_reason_data: String::new(),
        state_updated: at(0),
        state_transitioned: at(0),
        state_before: AlarmState::InsufficientData,
        actions_due: false,
        tags: Default::default(),
    }
}

type Step<'a> = (i64, Option<(&'a str, AlarmState)>, Result<usize, &'a str>);

/// The suppressor and the alarm are driven by constant rules. Each step is a second, a change and
/// what the actions are after it: who holds them back, or how many have run in all.
fn check(steps: &[Step<'_>]) {
    let store = store::Store::in_memory();
    let suppressor = model::cloudwatch::Suppressor {
        alarm: "quiet".into(),
        wait_period: 10,
        extension_period: 20,
    };
    store.update(|tx| {
        tx.put(composite("quiet", "FALSE", None));
        tx.put(composite("site", "FALSE", Some(suppressor)));
    });
    let site = ScopedName::new(&scope(), "site");
    for (second, change, expected) in steps {
        let now = at(*second);
        store.update(|tx| {
            if let Some((name, state)) = change {
                let found = Found {
                    state: *state,
                    reason: "why not".into(),
                    data: String::new(),
                };
                become_state(tx, &ScopedName::new(&scope(), name), &found, now);
            }
            act(tx, &site, Speed::new(1.0), now);
        });
        let snapshot = store.snapshot();
        let told = snapshot
            .alarm_history
            .values()
            .filter(|i| i.kind == "Action" && i.alarm == "site")
            .count();
        let found = match &snapshot.composite_alarms[&site].suppressed {
            Some(held) => Err(held.by.as_str()),
            None => Ok(told),
        };
        assert_eq!(found, *expected, "at {second}");
    }
}

use AlarmState::{Alarm, Ok as Fine};

#[test]
fn actions_run_once_the_wait_is_over() {
    check(&[
        (0, Some(("site", Alarm)), Err("WaitPeriod")),
        (9, None, Err("WaitPeriod")),
        (10, None, Ok(1)),
        (11, None, Ok(1)),
        (12, Some(("site", Fine)), Ok(2)),
    ]);
}

#[test]
fn a_suppressor_holds_actions_back_and_its_extension_after_it() {
    check(&[
        (0, Some(("site", Alarm)), Err("WaitPeriod")),
        (5, Some(("quiet", Alarm)), Err("Alarm")),
        (500, None, Err("Alarm")),
        (501, Some(("quiet", Fine)), Err("ExtensionPeriod")),
        (520, None, Err("ExtensionPeriod")),
        (521, None, Ok(1)),
    ]);
}

#[test]
fn what_was_never_told_does_not_end_either() {
    check(&[
        (0, Some(("quiet", Alarm)), Ok(0)),
        (1, Some(("site", Alarm)), Err("Alarm")),
        (2, Some(("site", Fine)), Ok(0)),
        (3, Some(("quiet", Fine)), Ok(0)),
    ]);
}

#[test]
fn children_by_name_and_by_arn() {
    let store = store::Store::in_memory();
    store.update(|tx| {
        tx.put(CompositeAlarm {
            state: Alarm,
            ..composite("a", "TRUE", None)
        });
        let rule = "ALARM(\"arn:aws:cloudwatch:us-east-1:000000000000:alarm:a\") AND NOT ALARM(gone)";
        let found = look(tx, &composite("b", rule, None)).unwrap();
        assert_eq!(found.state, Alarm);
        assert_eq!(
            found.reason,
            "arn:aws:cloudwatch:us-east-1:000000000000:alarm:a transitioned to ALARM at Monday 12 January, 1970 13:46:40 UTC"
        );
    });
}
