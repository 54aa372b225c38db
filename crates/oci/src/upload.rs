//! A blob on its way into a layout: begun, extended piece by piece, completed or given up.
//!
//! The file is its whole state, so that an upload outlives the process that takes it in. It is
//! hashed when it is complete, by what is on disk.

use crate::layout::Layout;
use crate::name::Digest;
use sha2::{Digest as _, Sha256};
use std::fs::{self, File, TryLockError};
use std::io::{self, Read, Seek};
use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UploadId(String);

impl UploadId {
    fn new() -> Self {
        Self(uuid::Uuid::new_v4().to_string())
    }

    /// Of what a client sends: only what one of ours looks like.
    pub fn parse(text: &str) -> Option<Self> {
        let allowed = |b| matches!(b, b'0'..=b'9' | b'a'..=b'f' | b'-');
        (text.len() == 36 && text.bytes().all(allowed)).then(|| Self(text.to_owned()))
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }
}

#[derive(Debug, thiserror::Error)]
pub enum UploadError {
    #[error("there is no such upload")]
    Unknown,
    /// Someone else is sending to it.
    #[error("the upload is being written to")]
    Busy,
    #[error("the upload has {length} bytes, and the next piece begins elsewhere")]
    Gap { length: u64 },
    /// It is gone: what came was not what was announced.
    #[error("the upload is {found}")]
    Mismatch { found: Digest },
    #[error(transparent)]
    Io(#[from] io::Error),
}

type Result<T, E = UploadError> = std::result::Result<T, E>;

/// Nothing of it is open.
pub struct Upload<'a> {
    layout: &'a Layout,
    id: UploadId,
}

impl<'a> Upload<'a> {
    pub fn begin(layout: &'a Layout) -> io::Result<Self> {
        layout.create()?;
        let id = UploadId::new();
        File::create_new(layout.uploads().join(&id.0))?;
        Ok(Self { layout, id })
    }

    pub fn of(layout: &'a Layout, id: UploadId) -> Self {
        Self { layout, id }
    }

    pub fn id(&self) -> &UploadId {
        &self.id
    }

    fn path(&self) -> PathBuf {
        self.layout.uploads().join(&self.id.0)
    }

    /// What has come so far.
    pub fn length(&self) -> Result<u64> {
        Ok(fs::metadata(self.path()).map_err(unknown)?.len())
    }

    /// The file, for what follows: locked, so that pieces never mix, and at its end, where
    /// `start` must be if it is known.
    pub fn extend(&self, start: Option<u64>) -> Result<File> {
        let mut options = File::options();
        let mut file = options
            .read(true)
            .write(true)
            .open(self.path())
            .map_err(unknown)?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Err(UploadError::Busy),
            Err(TryLockError::Error(error)) => return Err(error.into()),
        }
        // It may have become a blob between the opening and the lock, and blobs do not change.
        let (own, named) = (
            file.metadata()?,
            fs::metadata(self.path()).map_err(unknown)?,
        );
        if own.ino() != named.ino() {
            return Err(UploadError::Unknown);
        }
        let length = file.seek(io::SeekFrom::End(0))?;
        match start {
            Some(start) if start != length => Err(UploadError::Gap { length }),
            _ => Ok(file),
        }
    }

    /// Makes it a blob, if it is the one that was announced; the size.
    pub fn complete(&self, announced: &Digest) -> Result<u64> {
        let mut file = self.extend(None)?;
        file.rewind()?;
        let mut hash = Sha256::new();
        let mut size = 0;
        let mut piece = vec![0; 1 << 20];
        loop {
            let read = file.read(&mut piece)?;
            let Some(read @ [_, ..]) = piece.get(..read) else {
                break;
            };
            hash.update(read);
            size += read.len() as u64;
        }
        let found = Digest::finished(hash);
        if found != *announced {
            self.cancel()?;
            return Err(UploadError::Mismatch { found });
        }
        // Whoever is told that it is there must find it after a crash.
        file.sync_data()?;
        fs::rename(self.path(), self.layout.blob_path(announced))?;
        Ok(size)
    }

    pub fn cancel(&self) -> Result<()> {
        fs::remove_file(self.path()).map_err(unknown)
    }
}

fn unknown(error: io::Error) -> UploadError {
    match error.kind() {
        io::ErrorKind::NotFound => UploadError::Unknown,
        _ => error.into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::layout::tests::Directory;
    use std::io::Write;

    #[test]
    fn pieces_make_a_blob() {
        let directory = Directory::new("upload");
        let layout = Layout::at(directory.path());
        let upload = Upload::begin(&layout).unwrap();
        assert_eq!(upload.length().unwrap(), 0);
        upload.extend(Some(0)).unwrap().write_all(b"one ").unwrap();
        // By its id alone, as after a restart.
        let id = UploadId::parse(upload.id().as_str()).unwrap();
        let upload = Upload::of(&layout, id);
        let gap = upload.extend(Some(3)).unwrap_err();
        assert!(matches!(gap, UploadError::Gap { length: 4 }), "{gap}");
        let mut file = upload.extend(Some(4)).unwrap();
        assert!(matches!(upload.extend(None), Err(UploadError::Busy)));
        file.write_all(b"two").unwrap();
        drop(file);
        let digest = Digest::of(b"one two");
        assert_eq!(layout.blob_size(&digest).unwrap(), None);
        assert_eq!(upload.complete(&digest).unwrap(), 7);
        assert_eq!(layout.blob_size(&digest).unwrap(), Some(7));
        assert!(matches!(upload.length(), Err(UploadError::Unknown)));
        assert!(matches!(
            upload.complete(&digest),
            Err(UploadError::Unknown)
        ));
    }

    #[test]
    fn what_was_not_announced_is_dropped() {
        let directory = Directory::new("mismatch");
        let layout = Layout::at(directory.path());
        let upload = Upload::begin(&layout).unwrap();
        upload.extend(None).unwrap().write_all(b"other").unwrap();
        let announced = Digest::of(b"this");
        let refused = upload.complete(&announced).unwrap_err();
        assert!(
            matches!(&refused, UploadError::Mismatch { found } if *found == Digest::of(b"other"))
        );
        assert_eq!(layout.blob_size(&announced).unwrap(), None);
        assert!(matches!(upload.length(), Err(UploadError::Unknown)));
    }

    #[test]
    fn ids_are_no_paths() {
        for bad in ["", "..", "../../../../../../../../../../etc/pass", "x"] {
            assert_eq!(UploadId::parse(bad), None);
        }
    }
}
