//! Container images on disk, for those who serve them and those who speak of them.
//!
//! A repository is an OCI image layout
//! (<https://github.com/opencontainers/image-spec/blob/main/image-layout.md>) with tags in
//! `org.opencontainers.image.ref.name`; `layout` reads and changes it, `upload` is a blob on its
//! way there, `token` is who may come. The edge serves layouts by HTTP, the API's actions look
//! into them: both change the index under its lock, and readers see one whole version of it.
//!
//! Knows neither HTTP nor AWS's calls. Rejected: images as records of the control plane, which a
//! push would then have to ask, and which would say twice what the layout says.

mod layout;
mod manifest;
mod name;
mod tag_rule;
mod token;
mod upload;

pub use layout::{Found, Image, Layout, PutError, Removed};
pub use manifest::{MANIFEST_SIZE, Manifest, Summary};
pub use name::{Digest, Reference, valid_name, valid_tag};
pub use tag_rule::{TagRule, matches};
pub use token::{Claim, Invalid, Key};
pub use upload::{Upload, UploadError, UploadId};
