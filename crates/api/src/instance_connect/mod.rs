//! EC2 Instance Connect: keys that open an instance for a minute, and what tunnels through an
//! endpoint may lead to.
//!
//! A key lies in the instance's metadata until it expires, where a program of our images asks for
//! it on sshd's behalf, as AWS's package of that name does. It is not signed: AWS's package checks a
//! certificate of AWS's own authority, which nobody else can show. There is no serial console.

mod key;
mod tunnel;

use crate::Ctx;
use wire::{ApiError, Protocol, Rejection, Service, action};

pub use tunnel::{PATH as TUNNEL_PATH, open as open_tunnel};

type Result<T> = std::result::Result<T, ApiError>;

pub const NAME: &str = "ec2-instance-connect";

pub fn service() -> Service<Ctx> {
    Service {
        version: "2018-04-02",
        json_target_prefix: Some("AWSEC2InstanceConnectService"),
        reject,
        actions: vec![
            action("SendSSHPublicKey", key::send),
            action("SendSerialConsoleSSHPublicKey", key::send_to_console),
        ],
        ..Service::new(NAME)
    }
}

fn invalid(message: impl Into<String>) -> ApiError {
    ApiError::client("InvalidArgsException", message)
}

/// In the one word that the service has for it.
fn reject(rejection: Rejection, protocol: Protocol) -> ApiError {
    let error = rejection.into_error(protocol);
    match &*error.code {
        "ValidationException" => invalid(error.message),
        _ => error,
    }
}
