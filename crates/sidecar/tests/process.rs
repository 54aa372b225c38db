//! The process side within one runtime: who lags is cut off, and only one may serve.

use sidecar::serve;
use std::io::{BufRead, BufReader, Read};
use std::os::unix::net::UnixStream;

fn dir(name: &str) -> std::path::PathBuf {
    let path = std::env::temp_dir().join(format!("sidecar-{name}-{}", std::process::id()));
    std::fs::create_dir_all(&path).unwrap();
    path
}

#[tokio::test]
async fn only_one_process_serves_a_directory() {
    let dir = dir("one");
    let (_config, _reporter) = serve::<u32, String>(&dir).unwrap();
    let second = serve::<u32, String>(&dir).err().unwrap().to_string();
    assert!(second.contains("another process"), "{second}");
    std::fs::remove_dir_all(&dir).unwrap();
}

#[tokio::test]
async fn a_peer_that_does_not_read_is_cut_off_and_others_hear() {
    let dir = dir("lag");
    let (_config, reporter) = serve::<u32, String>(&dir).unwrap();
    let mut connected = reporter.connected();
    let mut deaf = UnixStream::connect(dir.join("socket")).unwrap();
    connected.wait_for(|count| *count == 1).await.unwrap();
    // Far more than the socket and the backlog hold; the loop never waits.
    let long = "x".repeat(1000);
    for _ in 0..20_000 {
        reporter.send(long.clone());
    }
    let hearing = UnixStream::connect(dir.join("socket")).unwrap();
    connected.wait_for(|count| *count == 2).await.unwrap();
    reporter.send("hello".into());
    let line = tokio::task::spawn_blocking(move || {
        let mut line = String::new();
        BufReader::new(hearing).read_line(&mut line).unwrap();
        line
    });
    assert_eq!(line.await.unwrap(), "{\"report\":\"hello\"}\n");
    // The deaf one finds the end of its connection behind what it was sent.
    let total = tokio::task::spawn_blocking(move || deaf.read_to_end(&mut Vec::new()).unwrap());
    assert!(total.await.unwrap() < 20_000 * 1000);
    std::fs::remove_dir_all(&dir).unwrap();
}

#[tokio::test]
async fn who_retires_makes_room() {
    let dir = dir("retire");
    let (_configs, first) = serve::<u32, String>(&dir).unwrap();
    assert!(serve::<u32, String>(&dir).is_err());
    let leaving = first.retire().await.unwrap();
    let (_configs, second) = serve::<u32, String>(&dir).unwrap();
    let record = dir.join(format!("leaving.{}", std::process::id()));
    assert!(record.exists());
    drop(leaving);
    assert!(!record.exists());
    drop((first, second));
    std::fs::remove_dir_all(&dir).unwrap();
}
