//! Credentials of users that this cloud does not give out: their lists are empty.
//! Terraform asks for all of them before it deletes a user by force.

use super::error::Result;
use super::user;
use crate::Ctx;
use serde::{Deserialize, Serialize};

/// A list of nothing under the name that AWS gives it.
macro_rules! none_of {
    ($function:ident, $answer:ident, $member:literal) => {
        #[derive(Serialize)]
        #[serde(rename_all = "PascalCase")]
        pub struct $answer {
            #[serde(rename = $member)]
            none: Vec<()>,
            is_truncated: bool,
        }

        pub fn $function(ctx: &mut Ctx, input: CredentialsOf) -> Result<$answer> {
            if let Some(name) = &input.user_name {
                user::named_or_caller(ctx, Some(name))?;
            }
            Ok($answer {
                none: Vec::new(),
                is_truncated: false,
            })
        }
    };
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct CredentialsOf {
    user_name: Option<String>,
    #[serde(rename = "MaxItems")]
    #[serde(default, deserialize_with = "wire::validated")]
    _max_items: Option<i64>,
    #[serde(rename = "Marker")]
    #[serde(default, deserialize_with = "wire::validated")]
    _marker: Option<String>,
}

none_of!(list_mfa_devices, MfaDevices, "MFADevices");
none_of!(
    list_signing_certificates,
    SigningCertificates,
    "Certificates"
);

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct ListServiceSpecificCredentials {
    user_name: Option<String>,
    #[serde(rename = "ServiceName")]
    #[serde(default, deserialize_with = "wire::validated")]
    _service_name: Option<String>,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct ServiceSpecificCredentials {
    service_specific_credentials: Vec<()>,
}

pub fn list_service_specific(
    ctx: &mut Ctx,
    input: ListServiceSpecificCredentials,
) -> Result<ServiceSpecificCredentials> {
    if let Some(name) = &input.user_name {
        user::named_or_caller(ctx, Some(name))?;
    }
    Ok(ServiceSpecificCredentials {
        service_specific_credentials: Vec::new(),
    })
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct ListVirtualMfaDevices {
    #[serde(rename = "AssignmentStatus")]
    #[serde(default, deserialize_with = "wire::validated")]
    _assignment_status: Option<String>,
    #[serde(rename = "MaxItems")]
    #[serde(default, deserialize_with = "wire::validated")]
    _max_items: Option<i64>,
    #[serde(rename = "Marker")]
    #[serde(default, deserialize_with = "wire::validated")]
    _marker: Option<String>,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct VirtualMfaDevices {
    #[serde(rename = "VirtualMFADevices")]
    none: Vec<()>,
    is_truncated: bool,
}

pub fn list_virtual_mfa_devices(
    _: &mut Ctx,
    _: ListVirtualMfaDevices,
) -> Result<VirtualMfaDevices> {
    Ok(VirtualMfaDevices {
        none: Vec::new(),
        is_truncated: false,
    })
}
