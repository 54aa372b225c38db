//! The store's promises: atomic, ordered, durable.

use model::event::{Fault, Severity};
use model::vpc::InternetGateway;
use model::{InternetGatewayId, Scope, Tags, Timestamp};
use store::Store;

fn gateway(id: &InternetGatewayId) -> InternetGateway {
    InternetGateway {
        id: id.clone(),
        scope: Scope::new("000000000000", "us-east-1"),
        vpc: None,
        tags: Tags::new(),
    }
}

#[test]
fn a_failed_transaction_changes_nothing() {
    let store = Store::in_memory();
    let id = InternetGatewayId::random();
    let failed = store.transact(|tx| {
        tx.put(gateway(&id));
        Err::<(), _>("no")
    });
    assert!(failed.is_err());
    assert!(store.snapshot().internet_gateways.is_empty());
    assert_eq!(store.snapshot().revision, 0);
}

#[test]
fn a_snapshot_stays_as_it_was() {
    let store = Store::in_memory();
    let id = InternetGatewayId::random();
    store.update(|tx| tx.put(gateway(&id)));
    let before = store.snapshot();
    store.update(|tx| tx.remove::<InternetGateway>(&id));
    assert!(before.internet_gateways.contains_key(&id));
    assert!(store.snapshot().internet_gateways.is_empty());
    assert_eq!(store.snapshot().revision, 2);
}

#[tokio::test]
async fn an_acknowledged_change_is_there_after_reopening() {
    let dir = std::env::temp_dir().join(format!("nines-store-{}", std::process::id()));
    std::fs::create_dir_all(&dir).unwrap();
    let (kept, gone) = (InternetGatewayId::random(), InternetGatewayId::random());
    {
        let store = Store::open(&dir).unwrap();
        let (_, commit) = store
            .transact(|tx| {
                tx.put(gateway(&kept));
                tx.put(gateway(&gone));
                tx.put(Fault::Zone("us-east-1a".into()));
                tx.event(Timestamp::UNIX_EPOCH, Severity::Info, &kept, "test", "made");
                Ok::<_, ()>(())
            })
            .unwrap();
        commit.durable().await.unwrap();
        let (_, commit) = store
            .transact(|tx| Ok::<_, ()>(tx.remove::<InternetGateway>(&gone)))
            .unwrap();
        commit.durable().await.unwrap();
    }
    let store = Store::open(&dir).unwrap();
    let state = store.snapshot();
    assert_eq!(state.internet_gateways.keys().collect::<Vec<_>>(), [&kept]);
    assert_eq!((state.faults.len(), state.events.len()), (1, 1));
    std::fs::remove_dir_all(&dir).unwrap();
}
