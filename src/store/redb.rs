//! A store in one file, with redb: every commit is a transaction that is synced before it returns.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{ErrorKind, Read};
use std::path::{Path, PathBuf};

use redb::{Database, DatabaseError, Durability, ReadableDatabase, ReadableTable, StorageError};
use redb::{TableDefinition, TableError};

use super::error::StoreError;
use super::row::{Change, Key, Store};
use crate::limits::STORE_CACHE_BYTES;

const ROWS: TableDefinition<'_, &[u8], &[u8]> = TableDefinition::new("waxwire rows");
const FORMAT: TableDefinition<'_, (), u32> = TableDefinition::new("waxwire format");
/// The form of rows and keys that this version writes.
const VERSION: u32 = 1;
/// What every file of redb begins with.
const MAGIC: &[u8] = b"redb";

/// Rows in one file, which is made with mode 0600. One process at a time has it open.
pub struct RedbStore {
    place: Place,
    /// None after a failure: the file is opened anew, and with it what was committed last.
    database: Option<Database>,
}

/// Where the bytes are.
enum Place {
    File(PathBuf),
    #[cfg(test)]
    Faulty(tests::Disk),
}

impl RedbStore {
    /// Opens the store at `path`, or makes one if nothing is there.
    ///
    /// # Errors
    ///
    /// [`StoreError`] names the cause; a file that is no store of this crate is left as it is.
    pub fn open(path: impl AsRef<Path>) -> Result<Self, StoreError> {
        Self::at(Place::File(path.as_ref().to_owned()))
    }

    fn at(place: Place) -> Result<Self, StoreError> {
        let database = place.open()?;
        Ok(Self { place, database: Some(database) })
    }

    /// The open database; opens it again after a failure.
    fn database(&mut self) -> Result<&Database, StoreError> {
        let database = match self.database.take() {
            Some(database) => database,
            None => self.place.open()?,
        };
        Ok(self.database.insert(database))
    }

    /// Runs `work` on the database, and lets go of it if that fails.
    fn with<T>(
        &mut self,
        work: impl FnOnce(&Database) -> Result<T, redb::Error>,
    ) -> Result<T, StoreError> {
        let done = work(self.database()?);
        done.map_err(|error| {
            self.database = None;
            fault(error)
        })
    }
}

impl Store for RedbStore {
    fn load(&mut self) -> Result<Vec<(Key, Vec<u8>)>, StoreError> {
        let rows = self.with(|database| {
            let rows = database.begin_read()?.open_table(ROWS)?;
            let rows = rows.iter()?.map(|row| {
                let (key, value) = row?;
                Ok((key.value().to_vec(), value.value().to_vec()))
            });
            rows.collect::<Result<Vec<_>, redb::Error>>()
        })?;
        let read = |(key, value): (Vec<u8>, Vec<u8>)| Some((Key::from_bytes(&key)?, value));
        let rows: Option<Vec<_>> = rows.into_iter().map(read).collect();
        rows.ok_or_else(|| StoreError::Damaged("a row has a key of no table".to_owned()))
    }

    fn commit(&mut self, changes: &[Change]) -> Result<(), StoreError> {
        if changes.is_empty() {
            return Ok(());
        }
        self.with(|database| {
            let mut transaction = database.begin_write()?;
            transaction.set_durability(Durability::Immediate)?;
            {
                let mut rows = transaction.open_table(ROWS)?;
                for change in changes {
                    match change {
                        Change::Put(key, value) => {
                            rows.insert(key.to_bytes().as_slice(), value.as_slice())?;
                        }
                        Change::Remove(key) => {
                            rows.remove(key.to_bytes().as_slice())?;
                        }
                    }
                }
            }
            Ok(transaction.commit()?)
        })
    }
}

impl std::fmt::Debug for RedbStore {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match &self.place {
            Place::File(path) => write!(f, "RedbStore({})", path.display()),
            #[cfg(test)]
            Place::Faulty(_) => f.write_str("RedbStore(faulty)"),
        }
    }
}

impl Place {
    fn open(&self) -> Result<Database, StoreError> {
        match self {
            Self::File(path) if is_there(path)? => existing(&mut existing_file(path)?),
            Self::File(path) => make(path),
            #[cfg(test)]
            Self::Faulty(disk) => {
                let is_new = disk.is_empty();
                let database = builder().create_with_backend(disk.clone()).map_err(unopened)?;
                if is_new {
                    begin(&database).map_err(fault)?;
                }
                check(database)
            }
        }
    }
}

fn builder() -> redb::Builder {
    let mut builder = Database::builder();
    builder.set_cache_size(STORE_CACHE_BYTES);
    builder
}

/// Whether a file with something in it is there.
fn is_there(path: &Path) -> Result<bool, StoreError> {
    match std::fs::metadata(path) {
        Ok(file) => Ok(file.len() > 0),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(false),
        Err(error) => Err(disk(error)),
    }
}

fn existing_file(path: &Path) -> Result<File, StoreError> {
    OpenOptions::new().read(true).write(true).open(path).map_err(disk)
}

/// Opens a store that is there. A file with another beginning is foreign.
fn existing(file: &mut File) -> Result<Database, StoreError> {
    let mut start = Vec::new();
    let limit = MAGIC.len() as u64;
    Read::by_ref(file).take(limit).read_to_end(&mut start).map_err(disk)?;
    if start != MAGIC {
        return Err(StoreError::Foreign);
    }
    let file = file.try_clone().map_err(disk)?;
    check(builder().create_file(file).map_err(unopened)?)
}

/// Makes a store beside its place and moves it there whole, so that no end of the process leaves half
/// of one.
fn make(path: &Path) -> Result<Database, StoreError> {
    let mut beside = path.as_os_str().to_owned();
    beside.push(".new");
    let beside = Path::new(&beside);
    let mut options = OpenOptions::new();
    options.read(true).write(true).create(true).truncate(false);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let file = options.open(beside).map_err(disk)?;
    match file.try_lock() {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => return Err(StoreError::Locked),
        Err(TryLockError::Error(error)) => return Err(disk(error)),
    }
    // What a process that ended here left.
    file.set_len(0).map_err(disk)?;
    let database = builder().create_file(file).map_err(unopened)?;
    begin(&database).map_err(fault)?;
    std::fs::rename(beside, path).map_err(disk)?;
    sync_folder(path)?;
    Ok(database)
}

/// A new name is there after a power cut only if its folder was synced.
fn sync_folder(path: &Path) -> Result<(), StoreError> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
    if cfg!(unix) {
        File::open(folder.unwrap_or(Path::new("."))).and_then(|it| it.sync_all()).map_err(disk)?;
    }
    Ok(())
}

/// The database, if it is of this crate and this version.
fn check(database: Database) -> Result<Database, StoreError> {
    match version(&database).map_err(fault)? {
        Some(VERSION) => Ok(database),
        Some(newer) => Err(StoreError::Newer(newer)),
        None => Err(StoreError::Foreign),
    }
}

fn version(database: &Database) -> Result<Option<u32>, redb::Error> {
    match database.begin_read()?.open_table(FORMAT) {
        Ok(format) => Ok(format.get(())?.map(|version| version.value())),
        Err(TableError::TableDoesNotExist(_)) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

fn begin(database: &Database) -> Result<(), redb::Error> {
    let transaction = database.begin_write()?;
    transaction.open_table(FORMAT)?.insert((), VERSION)?;
    transaction.open_table(ROWS)?;
    Ok(transaction.commit()?)
}

fn unopened(error: DatabaseError) -> StoreError {
    match error {
        DatabaseError::DatabaseAlreadyOpen => StoreError::Locked,
        DatabaseError::Storage(StorageError::Io(error)) => match error.kind() {
            // The header is cut, or is not one.
            ErrorKind::InvalidData | ErrorKind::UnexpectedEof => {
                StoreError::Damaged(error.to_string())
            }
            _ => disk(error),
        },
        DatabaseError::UpgradeRequired(_) => StoreError::Foreign,
        other => fault(other.into()),
    }
}

fn fault(error: redb::Error) -> StoreError {
    match error {
        redb::Error::Io(error) => disk(error),
        redb::Error::DatabaseAlreadyOpen => StoreError::Locked,
        redb::Error::PreviousIo => disk(ErrorKind::Other.into()),
        other => StoreError::Damaged(other.to_string()),
    }
}

fn disk(error: std::io::Error) -> StoreError {
    match error.kind() {
        ErrorKind::StorageFull | ErrorKind::QuotaExceeded | ErrorKind::FileTooLarge => {
            StoreError::Full(error)
        }
        _ => StoreError::Disk(error),
    }
}

#[cfg(test)]
mod tests;
