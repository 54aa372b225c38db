use super::*;
use crate::upload::Upload;

/// Gone when it is dropped.
pub(crate) struct Directory(PathBuf);

impl Directory {
    pub fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("oci-{name}-{}", std::process::id()));
        let _ = fs::remove_dir_all(&path);
        Self(path)
    }
    pub fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

fn blob(layout: &Layout, content: &[u8]) -> Digest {
    let upload = Upload::begin(layout).unwrap();
    upload.extend(None).unwrap().write_all(content).unwrap();
    let digest = Digest::of(content);
    upload.complete(&digest).unwrap();
    digest
}

fn image(layer: &Digest) -> Vec<u8> {
    let part = format!(r#"{{"mediaType":"x","digest":"{layer}","size":1}}"#);
    format!(r#"{{"schemaVersion":2,"config":{part},"layers":[{part}]}}"#).into_bytes()
}

fn put(layout: &Layout, tag: &str, content: &[u8], rule: &TagRule) -> Result<Digest, PutError> {
    let at: Timestamp = "2026-01-02T03:04:05Z".parse().unwrap();
    layout.put_manifest(&Reference::Tag(tag.into()), None, content, rule, at)
}

fn listed(layout: &Layout) -> Vec<(Digest, Vec<String>)> {
    let images = layout.images().unwrap();
    images.into_iter().map(|i| (i.digest, i.tags)).collect()
}

#[test]
fn tags_move_and_leave_images_behind() {
    let directory = Directory::new("tags");
    let layout = Layout::at(directory.path());
    assert!(matches!(
        layout.manifest(&Reference::Tag("v1".into())),
        Ok(Found::NoRepository)
    ));
    let free = TagRule::default();
    let (one, two) = (image(&blob(&layout, b"1")), image(&blob(&layout, b"2")));
    let first = put(&layout, "v1", &one, &free).unwrap();
    assert_eq!(put(&layout, "latest", &one, &free).unwrap(), first);
    assert_eq!(
        listed(&layout),
        [(first.clone(), vec!["latest".into(), "v1".into()])]
    );

    let fixed = TagRule {
        immutable: true,
        except: Vec::new(),
    };
    assert!(matches!(
        put(&layout, "v1", &two, &fixed),
        Err(PutError::Fixed)
    ));
    assert_eq!(
        put(&layout, "v1", &one, &fixed).unwrap(),
        first,
        "it is the same"
    );
    let second = put(&layout, "v1", &two, &free).unwrap();
    put(&layout, "latest", &two, &free).unwrap();
    let mut expected = vec![
        (first.clone(), Vec::new()),
        (second.clone(), vec!["latest".to_owned(), "v1".into()]),
    ];
    expected.sort();
    assert_eq!(listed(&layout), expected);

    let gone = layout.remove(&Reference::Tag("v1".into())).unwrap();
    let tags = vec!["v1".to_owned()];
    assert_eq!(
        gone,
        Removed::Yes {
            digest: second.clone(),
            tags
        }
    );
    assert_eq!(
        layout.remove(&Reference::Tag("v1".into())).unwrap(),
        Removed::No
    );
    let gone = layout.remove(&Reference::Digest(second.clone())).unwrap();
    assert!(matches!(gone, Removed::Yes { .. }));
    assert_eq!(listed(&layout), [(first.clone(), Vec::new())]);

    // What nobody names goes when it is old; what the image left names stays.
    let blobs = || {
        fs::read_dir(directory.path().join("blobs/sha256"))
            .unwrap()
            .count()
    };
    layout.sweep(SystemTime::UNIX_EPOCH).unwrap();
    assert_eq!(blobs(), 4);
    layout
        .sweep(SystemTime::now() + std::time::Duration::from_secs(60))
        .unwrap();
    assert_eq!(blobs(), 2);
    assert!(matches!(
        layout.manifest(&Reference::Digest(first)),
        Ok(Found::Yes(_))
    ));
}

#[test]
fn a_manifest_needs_its_parts() {
    let directory = Directory::new("parts");
    let layout = Layout::at(directory.path());
    let free = TagRule::default();
    let absent = Digest::of(b"absent");
    let refused = put(&layout, "v1", &image(&absent), &free).unwrap_err();
    assert!(
        matches!(&refused, PutError::NoBlobs(d) if d.contains(&absent)),
        "{refused}"
    );

    let one = image(&blob(&layout, b"1"));
    let digest = Digest::of(&one);
    let index =
        format!(r#"{{"schemaVersion":2,"manifests":[{{"mediaType":"x","digest":"{digest}"}}]}}"#);
    let refused = put(&layout, "all", index.as_bytes(), &free).unwrap_err();
    assert!(matches!(refused, PutError::NoManifests(_)), "{refused}");
    let wrong = Reference::Digest(absent);
    let refused = layout.put_manifest(&wrong, None, &one, &free, Timestamp::UNIX_EPOCH);
    assert!(matches!(refused, Err(PutError::Mismatch { .. })));
    let by_digest = Reference::Digest(digest.clone());
    layout
        .put_manifest(&by_digest, None, &one, &free, Timestamp::UNIX_EPOCH)
        .unwrap();
    let whole = put(&layout, "all", index.as_bytes(), &free).unwrap();
    // What an index names stays as long as the index.
    assert_eq!(
        layout.remove(&by_digest).unwrap(),
        Removed::Referenced(vec![whole.clone()])
    );
    layout.remove(&Reference::Digest(whole)).unwrap();
    assert!(matches!(
        layout.remove(&by_digest).unwrap(),
        Removed::Yes { .. }
    ));
}

#[test]
fn blobs_are_shared() {
    let directory = Directory::new("mount");
    let (from, to) = (
        Layout::at(directory.path().join("a")),
        Layout::at(directory.path().join("b")),
    );
    let digest = blob(&from, b"1");
    assert!(to.mount(&from, &digest).unwrap());
    assert!(to.mount(&from, &digest).unwrap(), "again");
    assert_eq!(to.blob_size(&digest).unwrap(), Some(1));
    assert!(!to.mount(&from, &Digest::of(b"2")).unwrap());
}
