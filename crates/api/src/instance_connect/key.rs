//! Public keys that an instance takes for a minute.

use super::{Result, invalid};
use crate::ec2::public_key::PublicKey;
use crate::{Ctx, sts};
use jiff::SignedDuration;
use model::InstanceId;
use model::instance::InstanceState;
use model::instance_connect::InstanceConnectKey;
use serde::{Deserialize, Serialize};
use wire::ApiError;

/// How long a key is good.
const SECONDS: u32 = 60;
/// The least of it in a fast cloud: a client still has to connect and to log in.
const LEAST: SignedDuration = SignedDuration::from_secs(15);
/// Live keys of one instance. AWS tells no number; each is a line of the metadata that sshd reads.
const MOST: usize = 50;

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct SendSshPublicKey {
    instance_id: String,
    #[serde(rename = "InstanceOSUser")]
    os_user: String,
    #[serde(rename = "SSHPublicKey")]
    public_key: String,
    availability_zone: Option<String>,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct Sent {
    request_id: String,
    success: bool,
}

pub fn send(ctx: &mut Ctx, input: SendSshPublicKey) -> Result<Sent> {
    let id = instance_id(&input.instance_id)?;
    if !is_os_user(&input.os_user) {
        return Err(invalid(format!(
            "InstanceOSUser '{}' is no name of a user.",
            input.os_user
        )));
    }
    let public_key = public_key(&input.public_key)?;
    let instance = ctx.tx.instances.get(&id).filter(|i| i.scope == ctx.scope);
    let Some(instance) = instance else {
        return Err(not_found(&input.instance_id));
    };
    if input.availability_zone.is_some_and(|z| z != instance.zone) {
        return Err(invalid(format!(
            "The instance {id} is in another Availability Zone: {}.",
            instance.zone
        )));
    }
    match instance.state {
        InstanceState::Running => {}
        InstanceState::Pending => {
            return Err(ApiError::client(
                "EC2InstanceUnavailableException",
                format!("The instance {id} is not up yet. Wait a while and try again."),
            ));
        }
        state => {
            return Err(ApiError::client(
                "EC2InstanceStateInvalidException",
                format!("The instance {id} is not running: it is {state:?}."),
            ));
        }
    }
    let life = ctx.cloud.speed.wait(SECONDS).max(LEAST);
    let key = InstanceConnectKey {
        request: ctx.request_id.clone(),
        scope: ctx.scope.clone(),
        instance: id,
        os_user: input.os_user,
        public_key,
        caller: sts::caller(ctx),
        expires: ctx.now + life,
    };
    keep(ctx, key)?;
    Ok(Sent {
        request_id: ctx.request_id.clone(),
        success: true,
    })
}

/// The key takes the place of the same one, sent earlier for the same user.
fn keep(ctx: &mut Ctx, key: InstanceConnectKey) -> Result<()> {
    let kept = ctx.tx.instance_connect_keys.of(&key.instance);
    let (same, others): (Vec<_>, Vec<_>) = kept.partition(|k| {
        k.os_user == key.os_user && essence(&k.public_key).eq(essence(&key.public_key))
    });
    let live = others.iter().filter(|k| k.expires > ctx.now).count();
    if live >= MOST {
        return Err(ApiError::client(
            "ThrottlingException",
            format!(
                "The instance {} has {live} keys that have not expired, and may have {MOST}. Wait a while and try again.",
                key.instance
            ),
        ));
    }
    let same: Vec<_> = same.iter().map(|k| k.request.clone()).collect();
    for request in same {
        ctx.tx.remove::<InstanceConnectKey>(&request);
    }
    ctx.tx.put(key);
    Ok(())
}

/// What makes a key this one: its line without the comment.
fn essence(line: &str) -> impl Iterator<Item = &str> {
    line.split_whitespace().take(2)
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct SendSerialConsoleSshPublicKey {
    instance_id: String,
    #[serde(rename = "SSHPublicKey")]
    public_key: String,
    serial_port: Option<i64>,
}

/// An account has no access to serial consoles until it asks for it, which no call here can.
pub fn send_to_console(ctx: &mut Ctx, input: SendSerialConsoleSshPublicKey) -> Result<Sent> {
    let id = instance_id(&input.instance_id)?;
    public_key(&input.public_key)?;
    if input.serial_port.is_some_and(|port| port != 0) {
        return Err(invalid("SerialPort must be 0."));
    }
    let known = ctx.tx.instances.get(&id);
    if known.is_none_or(|i| i.scope != ctx.scope) {
        return Err(not_found(&input.instance_id));
    }
    Err(ApiError::new(
        403,
        "SerialConsoleAccessDisabledException",
        "This account has no access to the EC2 serial console: this cloud has none. `nines console` shows what an instance writes.",
    ))
}

fn instance_id(text: &str) -> Result<InstanceId> {
    text.parse()
        .map_err(|_| invalid(format!("InstanceId '{text}' is not valid.")))
}

fn not_found(id: &str) -> ApiError {
    ApiError::client(
        "EC2InstanceNotFoundException",
        format!("The instance {id} does not exist."),
    )
}

/// As one line of `authorized_keys`.
fn public_key(text: &str) -> Result<String> {
    if !(80..=4096).contains(&text.len()) {
        return Err(invalid("SSHPublicKey must have 80 to 4096 characters."));
    }
    PublicKey::parse(text.as_bytes())
        .map(|key| key.line)
        .map_err(|_| invalid("SSHPublicKey is no RSA or ED25519 key in OpenSSH's form."))
}

/// The two patterns of AWS's model: names that begin with a letter, and such that begin with digits.
fn is_os_user(name: &str) -> bool {
    let inner = |b: &u8| b.is_ascii_alphanumeric() || b"@._-".contains(b);
    let unnumbered = name.trim_start_matches(|c: char| c.is_ascii_digit());
    let Some((first, rest)) = unnumbered.as_bytes().split_first() else {
        return false;
    };
    let begins = match unnumbered.len() == name.len() {
        true => first.is_ascii_alphabetic() || *first == b'_',
        false => inner(first),
    };
    let (middle, last) = match rest.split_last() {
        Some((last, middle)) => (middle, last),
        None => (rest, first),
    };
    let ends = inner(last) || *last == b'$';
    name.len() <= 32 && begins && middle.iter().all(inner) && ends
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{input, run};
    use serde_json::json;

    const KEY: &str =
        "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIAABAgMEBQYHCAkKCwwNDg8QERITFBUWFxgZGhscHR4f me@here";

    #[test]
    fn names_of_users() {
        let check = |name: &str, expected: bool| assert_eq!(is_os_user(name), expected, "{name}");
        for good in [
            "admin",
            "a",
            "_",
            "ec2-user",
            "me@corp.example",
            "svc$",
            "0a",
            "12_",
            "1a$",
            "a.",
        ] {
            check(good, true);
        }
        for bad in [
            "", "-a", "a b", "a/b", "..", "12", "12$", "$", "a$b", "ä", "1", "root\n",
        ] {
            check(bad, false);
        }
        check(&"a".repeat(32), true);
        check(&"a".repeat(33), false);
    }

    #[test]
    fn bad_requests_are_refused_in_the_services_words() {
        let check = |change: serde_json::Value, expected: &str| {
            let mut members = json!({
                "InstanceId": "i-0123456789abcdef0", "InstanceOSUser": "admin", "SSHPublicKey": KEY,
            });
            for (name, value) in change.as_object().unwrap() {
                members[name] = value.clone();
            }
            let code = run(|ctx| send(ctx, input(members)).err().map(|e| e.code));
            assert_eq!(code.as_deref(), Some(expected), "{change}");
        };
        check(json!({}), "EC2InstanceNotFoundException");
        check(json!({"InstanceId": "i-nothing"}), "InvalidArgsException");
        check(json!({"InstanceOSUser": "a b"}), "InvalidArgsException");
        check(
            json!({"SSHPublicKey": "ssh-ed25519 AAAA"}),
            "InvalidArgsException",
        );
        let other = KEY.replace("ssh-ed25519 ", "ssh-dss     ");
        check(json!({"SSHPublicKey": other}), "InvalidArgsException");
        check(
            json!({"SSHPublicKey": format!("{KEY}\n{KEY}")}),
            "InvalidArgsException",
        );
    }

    #[test]
    fn an_instance_keeps_so_many_keys() {
        run(|ctx| {
            let instance = instance_id("i-0123456789abcdef0").unwrap();
            let mut send = |seconds: i64, request: usize, os_user: &str, public_key: String| {
                ctx.now = model::Timestamp::from_second(seconds).unwrap();
                let key = InstanceConnectKey {
                    request: request.to_string(),
                    scope: ctx.scope.clone(),
                    instance: instance.clone(),
                    os_user: os_user.into(),
                    public_key,
                    caller: String::new(),
                    expires: ctx.now + SignedDuration::from_secs(60),
                };
                let refusal = keep(ctx, key).err().map(|e| e.code.into_owned());
                (refusal, ctx.tx.instance_connect_keys.values().count())
            };
            let key = |n: usize| format!("ssh-ed25519 key-{n} of@{n}");
            for n in 0..MOST {
                assert_eq!(send(0, n, "admin", key(n)), (None, n + 1));
            }
            let throttled = (Some("ThrottlingException".into()), MOST);
            assert_eq!(send(1, 100, "admin", key(100)), throttled);
            assert_eq!(send(1, 101, "other", key(0)), throttled);
            // The same key again, with another comment.
            let again = format!("ssh-ed25519 key-{} again", MOST - 1);
            assert_eq!(send(2, 102, "admin", again), (None, MOST));
            // All but that one have expired.
            assert_eq!(send(60, 103, "admin", key(103)), (None, MOST + 1));
        });
    }
}
