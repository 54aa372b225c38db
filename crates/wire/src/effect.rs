//! What naming a member means when it does not mean that the member is honoured.
//!
//! A member that an input type names counts as honoured, and compilers warn of
//! one that nothing reads. These newtypes say the exceptions where the member is
//! declared, so that the coverage table cannot promise more than the code does.
//! A list of names beside the action was rejected: types are shared by actions,
//! and a list outlives what it lists.

use serde::{Deserialize, Serialize};
use std::ops::Deref;

/// What becomes of a member that a client sends.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Effect {
    #[default]
    Honoured,
    /// Its form is checked; what it asks for changes nothing here.
    Validated,
    /// Kept and given back, and nothing acts on it.
    Stored,
    /// Named only to be refused in words of its own.
    Refused,
}

macro_rules! markers {
    ($($(#[$doc:meta])* $marker:ident $name:literal,)*) => {$(
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
        #[serde(rename = $name)]
        pub struct $marker<T>(pub T);

        impl<T> Deref for $marker<T> {
            type Target = T;

            fn deref(&self) -> &T {
                &self.0
            }
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
    /// A member that is checked and has no further effect: `Option<Validated<bool>>`.
    Validated "$wire::Validated",
    /// A member that is kept and given back, and that nothing acts on.
    Stored "$wire::Stored",
    /// A member that is refused whenever it is there.
    Refused "$wire::Refused",
}
