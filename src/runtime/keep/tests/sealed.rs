//! What someone does to the disk, who does not have the key.

use super::rig::{Shared, batch, key, link, now, open, stored, try_open};
use crate::runtime::keep::KeepError;
use crate::runtime::keep::ledger::Restored;
use crate::runtime::keep::rows::{ChainSide, encode_chain};
use crate::runtime::keep::seal::{Changes, seal_all};
use crate::store::{Change, Key, Table};

#[tokio::test]
async fn rows_open_with_their_key_only() {
    let store = filled().await;
    let before = store.rows();
    let refused = try_open(store.clone(), &key(2)).await.unwrap_err();
    assert!(matches!(refused, KeepError::Sealed(Table::Origin)), "{refused}");
    assert_eq!(store.rows(), before, "nothing is deleted");
    assert_eq!(restored(&store).await.unwrap().peers.len(), 2);
}

#[tokio::test]
async fn a_changed_byte_fails_the_whole() {
    let store = filled().await;
    let good = store.rows();
    for (key, sealed) in &good {
        for at in [0, 23, 24, sealed.len() / 2, sealed.len() - 1] {
            let mut changed = sealed.clone();
            changed[at] ^= 1;
            store.put(key.clone(), changed);
            assert_eq!(sealed_of(&store).await, Some(key.table()), "byte {at} of {key:?}");
        }
        for length in [0, 39, sealed.len() - 1] {
            store.put(key.clone(), sealed[..length].to_vec());
            assert_eq!(sealed_of(&store).await, Some(key.table()), "{length} bytes of {key:?}");
        }
        store.put(key.clone(), sealed.clone());
    }
    assert!(restored(&store).await.is_ok());
}

/// A row opens where it was put, so no message becomes another's, nor a mark that of another peer.
#[tokio::test]
async fn swapped_rows_do_not_open() {
    let store = filled().await;
    let rows = store.rows();
    for (first, one) in &rows {
        for (second, other) in rows.iter().filter(|(second, _)| second > first) {
            store.put(first.clone(), other.clone());
            store.put(second.clone(), one.clone());
            assert!(sealed_of(&store).await.is_some(), "{first:?} and {second:?}");
            store.put(first.clone(), one.clone());
            store.put(second.clone(), other.clone());
        }
    }
}

#[tokio::test]
async fn rows_that_nobody_sealed_are_refused() {
    for table in Table::ALL {
        let store = filled().await;
        store.put(Key::new(table, [0xff; 16]).unwrap(), b"foreign".to_vec());
        assert_eq!(sealed_of(&store).await, Some(table));
    }
}

/// Someone took the origin away: the numbers of the rest are not guessed.
#[tokio::test]
async fn rows_without_an_origin_are_refused() {
    let whole = filled().await;
    let store = Shared::default();
    for (key, value) in whole.rows() {
        if key.table() != Table::Origin {
            store.put(key, value);
        }
    }
    let refused = restored(&store).await.unwrap_err();
    assert!(matches!(refused, KeepError::Orphan(Table::Outbox)), "{refused}");
}

/// Written with the key, and still not what this version writes there.
#[tokio::test]
async fn a_row_that_opens_and_is_none_names_its_table() {
    for (table, id) in [(Table::Origin, 16), (Table::Chain, 16), (Table::Origin, 15)] {
        let place = Key::new(table, vec![1; id]).unwrap();
        let value = encode_chain(ChainSide::Dialled, b"no chain");
        let changes = Changes::from([(place, Some(value))]);
        let store = Shared::default();
        for change in seal_all(&key(1).sealing(), &changes).unwrap() {
            let Change::Put(key, sealed) = change else { panic!("a row") };
            store.put(key, sealed);
        }
        let refused = restored(&store).await.unwrap_err();
        assert!(matches!(refused, KeepError::Row(of, _) if of == table), "{refused}");
        assert!(refused.to_string().contains(&format!("{table:?}")));
    }
}

#[tokio::test]
async fn the_same_row_is_sealed_differently_each_time() {
    let (first, second) = (filled().await.rows(), filled().await.rows());
    for ((key, one), (same, other)) in first.iter().zip(&second) {
        assert_eq!((key, one.len()), (same, other.len()));
        assert_ne!(one[..24], other[..24], "a nonce of {key:?}");
        assert_ne!(one[24..], other[24..], "{key:?}");
    }
}

#[tokio::test]
async fn neither_ids_nor_values_say_whose_they_are() {
    for (key, sealed) in filled().await.rows() {
        let bytes = [key.id(), &sealed].concat();
        for plain in [&b"edge-"[..], b"marker", b"threats"] {
            assert!(!bytes.windows(plain.len()).any(|window| window == plain), "{key:?}");
        }
    }
}

/// Two peers, each with an origin and two messages.
async fn filled() -> Shared {
    let store = Shared::default();
    let (keeper, _) = open(store.clone()).await;
    for peer in [1, 2] {
        let mut link = link(&keeper, peer);
        for number in [1, 2] {
            link.submit(now(), batch(number, format!("marker {peer} {number}")));
            stored(&mut link).await.unwrap();
        }
    }
    keeper.close().await.unwrap();
    assert_eq!(store.rows().len(), 6);
    store
}

async fn restored(store: &Shared) -> Result<Restored, KeepError> {
    try_open(store.clone(), &key(1)).await.map(|opened| opened.1)
}

/// The table of the row that did not open.
async fn sealed_of(store: &Shared) -> Option<Table> {
    match restored(store).await {
        Err(KeepError::Sealed(table)) => Some(table),
        _ => None,
    }
}
