//! Calls on a store in memory and a directory of the test's own, as plain requests and answers.

mod access;
mod bucket;
mod form;
mod object;
mod upload;

use super::*;
use model::s3::Object;
use std::path::PathBuf;
use std::sync::Arc;

/// An object modified at the start of 2026.
pub fn object(key: &str, etag: &str) -> Object {
    Object {
        bucket: "b".to_owned(),
        key: key.to_owned(),
        version: "null".to_owned(),
        sequence: 1,
        delete_marker: false,
        size: 0,
        etag: etag.to_owned(),
        modified: jiff::Timestamp::from_second(1_767_225_600).unwrap(),
        storage_class: "STANDARD".to_owned(),
        headers: Default::default(),
        checksums: Default::default(),
        body: String::new(),
        tags: Default::default(),
        acl: None,
        parts: Vec::new(),
        upload: None,
    }
}

struct World {
    store: Store,
    cloud: Cloud,
}

impl Drop for World {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.cloud.state_dir);
    }
}

impl World {
    /// With the bucket `bkt`.
    fn new() -> Self {
        let name = format!("nines-s3-test-{}", uuid::Uuid::new_v4());
        let cloud = Cloud {
            metrics: Arc::default(),
            public_pool: "198.18.0.0/15".parse().unwrap(),
            state_dir: std::env::temp_dir().join(name),
            images: [].into(),
            strict_images: false,
            privileged_instances: false,
            speed: Default::default(),
            console: Box::new(|_| None),
        };
        let store = Store::in_memory();
        let world = Self { store, cloud };
        world.expect("PUT /bkt", "", 200);
        world
    }

    /// `line` is method and path; headers one a line as `name: value`.
    fn send(&self, key: &str, line: &str, headers: &str, body: &str) -> HttpResponse {
        let (method, target) = line.split_once(' ').unwrap();
        let (path, query) = target.split_once('?').unwrap_or((target, ""));
        let headers = headers.lines().map(|line| {
            let (name, value) = line.split_once(": ").unwrap();
            (name.to_owned(), value.to_owned())
        });
        let mut headers: Vec<(String, String)> = headers.collect();
        if !key.is_empty() {
            headers.push(("authorization".to_owned(), "signed".to_owned()));
        }
        let account = if key.is_empty() { "000000000000" } else { key };
        let call = Call {
            request: HttpRequest {
                method: method.to_owned(),
                path: path.to_owned(),
                query: query.to_owned(),
                headers,
                body: body.as_bytes().to_vec(),
            },
            scope: Scope::new(account, "us-east-1"),
            access_key: key.to_owned(),
            now: jiff::Timestamp::from_second(1_767_225_600).unwrap(),
            request_id: "r".to_owned(),
        };
        answer(&self.store, &self.cloud, call, &|commit| {
            commit.forget();
            Ok(())
        })
    }

    fn call(&self, line: &str, headers: &str, body: &str) -> HttpResponse {
        self.send("000000000000", line, headers, body)
    }

    fn expect(&self, line: &str, body: &str, status: u16) -> String {
        let response = self.call(line, "", body);
        let text = text(&response);
        assert_eq!(response.status, status, "{line} {text}");
        text
    }

    /// The code of the refusal.
    fn refused(&self, line: &str, headers: &str, body: &str) -> String {
        let answer = text(&self.call(line, headers, body));
        between(&answer, "Code").unwrap_or(answer)
    }

    /// Bodies that lie on disk.
    fn files(&self) -> usize {
        let buckets = std::fs::read_dir(self.cloud.state_dir.join("s3"))
            .into_iter()
            .flatten();
        let directories = buckets.flatten().map(|bucket| bucket.path());
        let count = |directory: PathBuf| std::fs::read_dir(directory).map_or(0, Iterator::count);
        directories.map(count).sum()
    }
}

fn text(response: &HttpResponse) -> String {
    String::from_utf8_lossy(&response.body.to_vec()).into_owned()
}

fn between(text: &str, element: &str) -> Option<String> {
    let (_, rest) = text.split_once(&format!("<{element}>"))?;
    let (inner, _) = rest.split_once(&format!("</{element}>"))?;
    Some(inner.to_owned())
}

/// The texts of every such element.
fn all(text: &str, element: &str) -> Vec<String> {
    let pieces = text
        .split(&format!("<{element}>"))
        .skip(1)
        .map(str::to_owned)
        .collect::<Vec<_>>();
    let end = format!("</{element}>");
    pieces
        .iter()
        .filter_map(|piece| piece.split_once(&end))
        .map(|(inner, _)| inner.to_owned())
        .collect()
}
