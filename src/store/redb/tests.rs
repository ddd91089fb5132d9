//! The store on disks that tear, fill up, fail, or are not its own.

use std::collections::BTreeMap;
use std::io;
use std::sync::{Arc, Mutex, MutexGuard};

use redb::StorageBackend;

use super::super::row::Table;
use super::*;

/// What a disk tears a write at.
const SECTOR: usize = 512;
/// Commits of one story.
const COMMITS: usize = 5;

#[test]
fn rows_are_there_after_a_restart_in_the_order_of_their_keys() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("store");
    let mut store = RedbStore::open(&path).unwrap();
    store.commit(&[put(2, b"two"), put(1, b"one"), put(3, b"three")]).unwrap();
    store.commit(&[Change::Remove(key(2)), put(3, b"more")]).unwrap();
    drop(store);

    let rows = RedbStore::open(&path).unwrap().load().unwrap();

    assert_eq!(rows, [(key(1), b"one".to_vec()), (key(3), b"more".to_vec())]);
}

#[cfg(unix)]
#[test]
fn a_new_store_is_readable_by_its_owner_only() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("store");
    drop(RedbStore::open(&path).unwrap());
    let mode = std::os::unix::fs::MetadataExt::mode(&std::fs::metadata(&path).unwrap());
    assert_eq!(mode & 0o777, 0o600);
}

#[test]
fn a_store_is_open_once() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("store");
    let first = RedbStore::open(&path).unwrap();
    assert!(matches!(RedbStore::open(&path), Err(StoreError::Locked)));
    drop(first);
    assert!(RedbStore::open(&path).is_ok());
}

#[test]
fn a_foreign_file_is_refused_and_left_as_it_is() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("notes.txt");
    for content in [&b"dear diary"[..], b"r", &[0; 10_000]] {
        std::fs::write(&path, content).unwrap();
        assert!(matches!(RedbStore::open(&path), Err(StoreError::Foreign)));
        assert_eq!(std::fs::read(&path).unwrap(), content);
    }
}

#[test]
fn a_store_that_was_never_finished_is_begun_anew() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("store");
    std::fs::write(&path, []).unwrap();
    std::fs::write(folder.path().join("store.new"), [0; 10_000]).unwrap();

    let mut store = RedbStore::open(&path).unwrap();

    store.commit(&[put(1, b"one")]).unwrap();
    drop(store);
    let names: Vec<_> =
        folder.path().read_dir().unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(names, ["store"]);
    assert_eq!(RedbStore::open(&path).unwrap().load().unwrap().len(), 1);
}

#[test]
fn a_database_of_someone_else_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("theirs");
    let theirs: TableDefinition<'_, u64, u64> = TableDefinition::new("theirs");
    let database = Database::create(&path).unwrap();
    let transaction = database.begin_write().unwrap();
    transaction.open_table(theirs).unwrap().insert(1, 2).unwrap();
    transaction.commit().unwrap();
    drop(database);
    assert!(matches!(RedbStore::open(&path), Err(StoreError::Foreign)));
}

#[test]
fn a_store_of_a_later_format_is_refused() {
    let disk = Disk::default();
    drop(on(&disk).unwrap());
    let database = Database::builder().create_with_backend(disk.clone()).unwrap();
    let transaction = database.begin_write().unwrap();
    transaction.open_table(FORMAT).unwrap().insert((), 2).unwrap();
    transaction.commit().unwrap();
    drop(database);
    assert!(matches!(on(&disk), Err(StoreError::Newer(2))));
}

#[test]
fn a_file_that_was_cut_is_damaged_or_whole() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("store");
    RedbStore::open(&path).unwrap().commit(&[put(1, &[7; 5_000])]).unwrap();
    let whole = std::fs::read(&path).unwrap();
    for length in [5, 100, 512, 4_096, whole.len() / 2] {
        std::fs::write(&path, &whole[..length]).unwrap();
        let opened = RedbStore::open(&path).and_then(|mut store| store.load());
        assert!(matches!(opened, Err(StoreError::Damaged(_))), "{length}: {opened:?}");
    }
}

#[test]
fn a_full_disk_keeps_nothing_of_the_batch_and_all_before_it() {
    let disk = Disk::default();
    let mut store = on(&disk).unwrap();
    store.commit(&[put(1, b"kept")]).unwrap();
    let length = disk.state().now.len();
    disk.state().capacity = Some(length);

    let batch = [put(2, &[7; 8_000_000]), put(3, b"small")];
    assert!(matches!(store.commit(&batch), Err(StoreError::Full(_))));
    assert_eq!(store.load().unwrap(), [(key(1), b"kept".to_vec())]);

    disk.state().capacity = None;
    store.commit(&batch).unwrap();
    assert_eq!(store.load().unwrap().len(), 3);
}

#[test]
fn a_disk_that_fails_once_is_used_again_with_what_was_committed() {
    let disk = Disk::default();
    let mut store = on(&disk).unwrap();
    store.commit(&[put(1, b"kept")]).unwrap();
    disk.state().fail_sync = true;

    assert!(matches!(store.commit(&[put(2, b"lost")]), Err(StoreError::Disk(_))));

    disk.state().fail_sync = false;
    let rows = store.load().unwrap();
    assert!(rows.contains(&(key(1), b"kept".to_vec())), "{rows:?}");
    store.commit(&[put(2, b"again")]).unwrap();
    assert_eq!(store.load().unwrap().len(), 2);
}

/// A power cut after any write, with that write whole, torn or missing: what was committed is there,
/// and of the batch under way all or nothing.
#[test]
fn a_power_cut_at_any_write_loses_no_commit() {
    let writes = {
        let disk = Disk::with_store();
        story(&disk, &mut Vec::new());
        disk.state().writes
    };
    assert!(writes > 3 * COMMITS, "{writes} writes are no story");
    for cut in 0..writes {
        for torn in [Torn::Whole, Torn::Half, Torn::Missing, Torn::Unsynced] {
            let disk = Disk::with_store();
            disk.state().cut = Some((cut, torn));
            let mut committed = Vec::new();
            story(&disk, &mut committed);
            assert_survives(&disk.after_power_cut(), &committed, &format!("{cut} {torn:?}"));
        }
    }
}

fn assert_survives(disk: &Disk, committed: &[usize], at: &str) {
    let mut store = on(disk).unwrap_or_else(|error| panic!("{at}: {error}"));
    let rows: BTreeMap<_, _> = store.load().unwrap().into_iter().collect();
    let last = committed.len();
    let expected = [model(last), model(last + 1)];
    assert!(expected.contains(&rows), "{at}: after {last} commits {} rows", rows.len());
}

/// Commits until the disk is cut; notes what was confirmed.
fn story(disk: &Disk, committed: &mut Vec<usize>) {
    let Ok(mut store) = on(disk) else { return };
    for number in 0..COMMITS {
        if store.commit(&batch(number)).is_err() {
            return;
        }
        committed.push(number);
    }
}

/// Batch `number` adds two rows and removes one of the batch before.
fn batch(number: usize) -> Vec<Change> {
    let row = |n: usize| u8::try_from(n).unwrap();
    let mut changes = vec![put(row(2 * number), &[1; 700]), put(row(2 * number + 1), &[2; 30])];
    if number > 0 {
        changes.push(Change::Remove(key(row(2 * number - 1))));
    }
    changes
}

fn model(commits: usize) -> BTreeMap<Key, Vec<u8>> {
    let mut rows = BTreeMap::new();
    for change in (0..commits.min(COMMITS)).flat_map(batch) {
        match change {
            Change::Put(key, value) => rows.insert(key, value),
            Change::Remove(key) => rows.remove(&key),
        };
    }
    rows
}

fn on(disk: &Disk) -> Result<RedbStore, StoreError> {
    RedbStore::at(Place::Faulty(disk.clone()))
}

fn key(id: u8) -> Key {
    Key::new(Table::Outbox, [id]).unwrap()
}

fn put(id: u8, value: &[u8]) -> Change {
    Change::Put(key(id), value.to_vec())
}

/// What becomes of the write at which the power goes.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Torn {
    Whole,
    /// Its first sectors only.
    Half,
    Missing,
    /// Nor of those since the last sync.
    Unsynced,
}

/// A disk in memory.
#[derive(Clone, Debug, Default)]
pub(super) struct Disk(Arc<Mutex<State>>);

#[derive(Debug, Default)]
struct State {
    now: Vec<u8>,
    /// What stood where something was written since the last sync, oldest first.
    unsynced: Vec<(usize, Vec<u8>)>,
    writes: usize,
    /// The power goes at the write of this number.
    cut: Option<(usize, Torn)>,
    is_off: bool,
    capacity: Option<usize>,
    fail_sync: bool,
}

impl Disk {
    pub(super) fn is_empty(&self) -> bool {
        self.state().now.is_empty()
    }

    /// A disk on which an empty store was made; its writes are counted from here.
    fn with_store() -> Self {
        let disk = Self::default();
        drop(on(&disk).unwrap());
        disk.state().writes = 0;
        disk
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap()
    }

    /// The disk as it is found when the power is back.
    fn after_power_cut(&self) -> Self {
        let now = self.state().now.clone();
        Self(Arc::new(Mutex::new(State { now, ..State::default() })))
    }
}

impl State {
    fn on(&self) -> io::Result<()> {
        if self.is_off { Err(io::Error::other("the power is gone")) } else { Ok(()) }
    }

    /// Counts a write, and says how much of it is kept if it is the last.
    fn step(&mut self) -> Option<Torn> {
        let torn = self.cut.filter(|(cut, _)| *cut == self.writes).map(|(_, torn)| torn);
        self.writes += 1;
        if torn.is_some() {
            self.is_off = true;
        }
        if torn == Some(Torn::Unsynced) {
            for (offset, before) in self.unsynced.drain(..).rev() {
                self.now[offset..offset + before.len()].copy_from_slice(&before);
            }
        }
        torn
    }
}

impl StorageBackend for Disk {
    fn len(&self) -> io::Result<u64> {
        self.state().on()?;
        Ok(self.state().now.len() as u64)
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        let state = self.state();
        state.on()?;
        let offset = usize::try_from(offset).unwrap();
        let bytes = state.now.get(offset..offset + out.len());
        out.copy_from_slice(bytes.ok_or(ErrorKind::UnexpectedEof)?);
        Ok(())
    }

    fn set_len(&self, length: u64) -> io::Result<()> {
        let mut state = self.state();
        state.on()?;
        let length = usize::try_from(length).unwrap();
        if state.capacity.is_some_and(|capacity| length > capacity) {
            return Err(ErrorKind::StorageFull.into());
        }
        match state.step() {
            None | Some(Torn::Whole) => state.now.resize(length, 0),
            Some(_) => {}
        }
        state.on()
    }

    fn sync_data(&self) -> io::Result<()> {
        let mut state = self.state();
        state.on()?;
        if state.fail_sync {
            return Err(io::Error::other("the disk failed"));
        }
        state.unsynced.clear();
        Ok(())
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        let mut state = self.state();
        state.on()?;
        let kept = match state.step() {
            None | Some(Torn::Whole) => data.len(),
            Some(Torn::Half) => data.len() / 2 / SECTOR * SECTOR,
            Some(Torn::Missing | Torn::Unsynced) => 0,
        };
        let offset = usize::try_from(offset).unwrap();
        if kept > 0 {
            let before = state.now[offset..offset + kept].to_vec();
            state.unsynced.push((offset, before));
            state.now[offset..offset + kept].copy_from_slice(&data[..kept]);
        }
        state.on()
    }
}
