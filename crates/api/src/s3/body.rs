//! Bodies of objects: files below the state directory, each with a random name.
//!
//! A file is complete before a record names it, so nobody sees half a body.

use super::error::internal;
use super::range::Span;
use super::request::{Request, find_bucket};
use super::version;
use crate::{Cloud, Ctx};
use model::s3::{Bucket, Object};
use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io::{self, Read, Seek, SeekFrom};
use std::path::PathBuf;
use store::{State, Store};
use wire::ApiError;

/// A file that is removed again unless a record comes to name it.
pub struct Body<'a> {
    cloud: &'a Cloud,
    bucket: String,
    pub name: String,
    keep: bool,
}

impl<'a> Body<'a> {
    /// A new file, filled by `write`.
    pub fn create<T>(
        cloud: &'a Cloud,
        bucket: &str,
        write: impl FnOnce(&mut File) -> io::Result<T>,
    ) -> Result<(Self, T), ApiError> {
        let body = Self {
            cloud,
            bucket: bucket.to_owned(),
            name: uuid::Uuid::new_v4().simple().to_string(),
            keep: false,
        };
        let written = fs::create_dir_all(directory(cloud, bucket))
            .and_then(|()| File::create_new(path(cloud, bucket, &body.name)))
            .and_then(|mut file| write(&mut file));
        let written = written.map_err(|cause| internal("write the body of an object", &cause))?;
        Ok((body, written))
    }

    /// A record names it now.
    pub fn keep(mut self) {
        self.keep = true;
    }
}

impl Drop for Body<'_> {
    fn drop(&mut self) {
        if !self.keep {
            remove(self.cloud, &self.bucket, &self.name);
        }
    }
}

fn directory(cloud: &Cloud, bucket: &str) -> PathBuf {
    cloud.state_dir.join("s3").join(bucket)
}

fn path(cloud: &Cloud, bucket: &str, name: &str) -> PathBuf {
    directory(cloud, bucket).join(name)
}

/// An object a caller may read, and its open body.
pub struct Source {
    pub bucket: Bucket,
    pub object: Object,
    pub file: File,
}

/// Reads may meet the end of a body that a write has just replaced; then the
/// newer record is the one to read.
const ATTEMPTS: usize = 8;

/// Finds the version a request names and opens its body.
pub fn open(request: &Request<'_>) -> Result<Source, ApiError> {
    let mut attempt = 1;
    loop {
        let state = request.snapshot();
        let bucket = find_bucket(&state, &request.bucket)?;
        let object = version::find_body(&state, request)?;
        match File::open(path(request.cloud, &object.bucket, &object.body)) {
            Ok(file) => {
                let (bucket, object) = (bucket.clone(), object.clone());
                return Ok(Source {
                    bucket,
                    object,
                    file,
                });
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound && attempt < ATTEMPTS => {
                attempt += 1
            }
            Err(error) => return Err(internal("open the body of an object", &error)),
        }
    }
}

/// Of what other services read from buckets at once: bundles of certificates, mostly.
const MAX_CONTENT: u64 = 1024 * 1024;

/// An object of the caller's account for another service of the cloud: the version, or the newest.
/// `None` if there is none, or if it is too long for what it should be.
pub fn content(ctx: &Ctx, bucket: &str, key: &str, version: Option<&str>) -> Option<Vec<u8>> {
    let owner = ctx.tx.buckets.get(bucket)?;
    let object = version::find(&ctx.tx, bucket, key, version).ok()?;
    let is_theirs = owner.scope.account == ctx.scope.account;
    if !is_theirs || object.delete_marker || MAX_CONTENT < object.size {
        return None;
    }
    fs::read(path(&ctx.cloud, &object.bucket, &object.body)).ok()
}

/// Opens the body of a part.
pub fn open_part(cloud: &Cloud, bucket: &str, name: &str) -> io::Result<File> {
    File::open(path(cloud, bucket, name))
}

/// `length` bytes from `start` on.
pub fn read(file: &mut File, (start, length): Span) -> Result<Vec<u8>, ApiError> {
    let mut bytes = Vec::with_capacity(usize::try_from(length).unwrap_or_default());
    let read = file
        .seek(SeekFrom::Start(start))
        .and_then(|_| file.take(length).read_to_end(&mut bytes));
    match read {
        Ok(read) if read as u64 == length => Ok(bytes),
        Ok(_) => Err(internal(
            "read the body of an object",
            &io::ErrorKind::UnexpectedEof.into(),
        )),
        Err(error) => Err(internal("read the body of an object", &error)),
    }
}

pub fn remove(cloud: &Cloud, bucket: &str, name: &str) {
    if let Err(error) = fs::remove_file(path(cloud, bucket, name))
        && error.kind() != io::ErrorKind::NotFound
    {
        tracing::warn!(%error, bucket, name, "failed to remove the body of an object");
    }
}

/// Removes the directory of a bucket that is gone; left alone if a new bucket
/// of the same name has put something into it.
pub fn remove_directory(cloud: &Cloud, bucket: &str) {
    let _ = fs::remove_dir(directory(cloud, bucket));
}

/// Removes bodies that no record names: what a crash between file and record left.
/// Only before the first call is answered.
pub fn remove_orphans(store: &Store, cloud: &Cloud) {
    let named = named(&store.snapshot());
    let Ok(buckets) = fs::read_dir(cloud.state_dir.join("s3")) else {
        return;
    };
    for bucket in buckets.flatten() {
        let bucket_name = bucket.file_name().to_string_lossy().into_owned();
        let Ok(files) = fs::read_dir(bucket.path()) else {
            continue;
        };
        for file in files.flatten() {
            let name = file.file_name().to_string_lossy().into_owned();
            let body = (bucket_name.clone(), name);
            if !named.contains(&body) {
                remove(cloud, &body.0, &body.1);
            }
        }
        // Only goes when empty.
        let _ = fs::remove_dir(bucket.path());
    }
}

fn named(state: &State) -> BTreeSet<(String, String)> {
    let objects = state.objects.values();
    let objects = objects.map(|object| (object.bucket.clone(), object.body.clone()));
    let uploads = state.multipart_uploads.values();
    let parts = uploads.flat_map(|upload| {
        let parts = super::upload_part::of_upload(state, &upload.id);
        parts.map(|part| (upload.bucket.clone(), part.body.clone()))
    });
    objects.chain(parts).collect()
}
