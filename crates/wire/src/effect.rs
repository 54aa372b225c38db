//! What naming a member means when it does not mean that the member is honoured.
//!
//! A member that an input type names counts as honoured, and the compiler warns of
//! one that nothing reads. The exceptions are said where the member is declared,
//! so that the coverage table cannot promise more than the code does:
//!
//! ```
//! #[derive(serde::Deserialize)]
//! struct Input {
//!     #[serde(default, deserialize_with = "wire::stored")]
//!     kms_key_id: Option<String>,
//! }
//! ```
//!
//! Such a function reads the member as it is, by way of a newtype whose name
//! [`crate::members`] knows. Newtypes in the fields themselves were tried and
//! touched every use; a list of names beside the action would outlive what it lists.

use serde::{Deserialize, Deserializer, Serialize};

/// What becomes of a member that a client sends.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Effect {
    Honoured,
    /// Its form is checked; what it asks for changes nothing here.
    Validated,
    /// Kept and given back, and nothing acts on it.
    Stored,
    /// Named only to be refused in words of its own.
    Refused,
}

macro_rules! markers {
    ($($(#[$doc:meta])* $function:ident $marker:ident $name:literal,)*) => {
        $(
            $(#[$doc])*
            pub fn $function<'de, D: Deserializer<'de>, T: Deserialize<'de>>(d: D) -> Result<T, D::Error> {
                #[derive(Deserialize)]
                #[serde(rename = $name)]
                struct Marker<T>(T);

                Marker::deserialize(d).map(|Marker(value)| value)
            }
        )*

        impl Effect {
            /// By the name of the newtype that a deserializer meets.
            pub(crate) fn of_newtype(name: &str) -> Option<Self> {
                match name {
                    $($name => Some(Self::$marker),)*
                    _ => None,
                }
            }
        }
    };
}

markers! {
    /// Marks a member that is checked and has no further effect.
    validated Validated "$wire::Validated",
    /// Marks a member that is kept and given back, and that nothing acts on.
    stored Stored "$wire::Stored",
    /// Marks a member that is refused whenever it asks for something.
    refused Refused "$wire::Refused",
}
