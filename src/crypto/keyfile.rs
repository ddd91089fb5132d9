//! The file an identity lives in. Nobody but its owner may read it.

use std::fs::{File, OpenOptions};
use std::io::{ErrorKind, Read, Write};
use std::path::{Path, PathBuf};

use zeroize::Zeroizing;

use super::identity::{Identity, PemError};
use super::seed::Seed;
use crate::limits::KEY_FILE_BYTES;

/// Why a key file was not used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum KeyFileError {
    /// The file could not be read or made.
    #[error("key file {0}: {1}")]
    Io(PathBuf, #[source] std::io::Error),
    /// Others may read it. `chmod 600` it, and replace the key if they did.
    #[error("key file {0} may be read by others (mode {1:03o}); chmod 600 it")]
    TooOpen(PathBuf, u32),
    /// It holds no key of ours.
    #[error("key file {0}: {1}")]
    Pem(PathBuf, #[source] PemError),
}

impl Identity {
    /// Reads the identity in a PKCS#8 PEM file. What lies beyond 16 KiB is not read.
    ///
    /// # Errors
    ///
    /// [`KeyFileError::TooOpen`] if its group or the world may read or write it (Unix), and the
    /// others as they say.
    pub fn load(path: impl AsRef<Path>) -> Result<Self, KeyFileError> {
        let path = path.as_ref();
        let failed = |error| KeyFileError::Io(path.to_owned(), error);
        let file = File::open(path).map_err(failed)?;
        check_mode(path, &file)?;
        // Room for all of it, so that no copy is left behind by growing.
        let mut pem = Zeroizing::new(String::with_capacity(2 * KEY_FILE_BYTES));
        file.take(KEY_FILE_BYTES as u64).read_to_string(&mut pem).map_err(failed)?;
        Self::from_pem(&pem).map_err(|error| KeyFileError::Pem(path.to_owned(), error))
    }

    /// Writes the identity to a new file of mode 0600. An existing file is left alone.
    ///
    /// # Errors
    ///
    /// [`KeyFileError::Io`], with [`ErrorKind::AlreadyExists`] if there is such a file.
    pub fn store(&self, path: impl AsRef<Path>) -> Result<(), KeyFileError> {
        let path = path.as_ref();
        let mut options = OpenOptions::new();
        options.write(true).create_new(true);
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
        let failed = |error| KeyFileError::Io(path.to_owned(), error);
        let mut file = options.open(path).map_err(failed)?;
        let written = file.write_all(self.to_pem().as_bytes()).and_then(|()| file.sync_all());
        written.map_err(|error| {
            // Half a key would be refused for ever; there was no file here before.
            let _ = std::fs::remove_file(path);
            failed(error)
        })
    }

    /// Reads the identity in a file, or makes one from `seed` and writes it there.
    ///
    /// # Errors
    ///
    /// As [`Identity::load`] and [`Identity::store`].
    pub fn load_or_create(path: impl AsRef<Path>, seed: Seed) -> Result<Self, KeyFileError> {
        match Self::load(&path) {
            Err(KeyFileError::Io(_, error)) if error.kind() == ErrorKind::NotFound => {
                let identity = Self::from_seed(seed);
                identity.store(&path)?;
                Ok(identity)
            }
            other => other,
        }
    }
}

#[cfg(unix)]
fn check_mode(path: &Path, file: &File) -> Result<(), KeyFileError> {
    use std::os::unix::fs::PermissionsExt;
    let metadata = file.metadata().map_err(|error| KeyFileError::Io(path.to_owned(), error))?;
    let mode = metadata.permissions().mode() & 0o777;
    if mode & 0o077 == 0 { Ok(()) } else { Err(KeyFileError::TooOpen(path.to_owned(), mode)) }
}

#[cfg(not(unix))]
fn check_mode(_: &Path, _: &File) -> Result<(), KeyFileError> {
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::error::Error as _;
    use std::fs;

    use tempfile::{TempDir, tempdir};

    use super::*;

    #[test]
    fn what_was_stored_is_loaded() {
        let (folder, path) = place();
        let identity = identity(1);
        identity.store(&path).expect("a new file");
        let loaded = Identity::load(&path).expect("the same file");
        assert_eq!(loaded.public_key(), identity.public_key());
        assert_eq!(fs::read_to_string(&path).expect("text"), *identity.to_pem());
        drop(folder);
    }

    #[test]
    fn a_file_is_never_overwritten() {
        let (_folder, path) = place();
        identity(1).store(&path).expect("a new file");
        let again = identity(2).store(&path);
        assert_eq!(io(again.err()), Some(ErrorKind::AlreadyExists));
        let loaded = Identity::load(&path).expect("the first");
        assert_eq!(loaded.public_key(), identity(1).public_key());
    }

    #[test]
    fn a_key_is_made_where_there_is_none_and_kept_where_there_is_one() {
        let (_folder, path) = place();
        let made = Identity::load_or_create(&path, seed(1)).expect("made");
        let kept = Identity::load_or_create(&path, seed(2)).expect("kept");
        assert_eq!(made.public_key(), identity(1).public_key());
        assert_eq!(kept.public_key(), made.public_key());
    }

    #[test]
    fn a_file_that_cannot_be_used_is_not_replaced() {
        let (folder, path) = place();
        write(&path, "not a key");
        let error = Identity::load_or_create(&path, seed(1)).expect_err("no key");
        assert!(matches!(&error, KeyFileError::Pem(at, PemError::NotAKey) if *at == path));
        assert_eq!(fs::read_to_string(&path).expect("text"), "not a key");
        assert!(error.source().is_some_and(|cause| cause.is::<PemError>()));
        assert!(error.to_string().contains(&*path.to_string_lossy()));
        let nowhere = folder.path().join("no such folder").join("key.pem");
        let error = Identity::load_or_create(nowhere, seed(1)).err();
        assert_eq!(io(error), Some(ErrorKind::NotFound));
    }

    #[test]
    fn no_more_than_16_kib_of_a_file_are_read() {
        let pem = identity(1).to_pem();
        let behind = |bytes: usize| format!("{}\n{}", "x".repeat(bytes - 1), *pem);
        let (_folder, path) = place();
        write(&path, &behind(16 * 1024 - pem.len()));
        assert!(Identity::load(&path).is_ok());
        let (_folder, path) = place();
        write(&path, &behind(16 * 1024));
        assert!(matches!(Identity::load(&path), Err(KeyFileError::Pem(_, PemError::NotAKey))));
    }

    #[cfg(unix)]
    #[test]
    fn a_new_file_is_its_owners_alone() {
        let (_folder, path) = place();
        identity(1).store(&path).expect("a new file");
        let mode = std::os::unix::fs::PermissionsExt::mode(
            &fs::metadata(&path).expect("it is there").permissions(),
        );
        assert_eq!(mode & 0o7777, 0o600);
    }

    #[cfg(unix)]
    #[test]
    fn a_file_that_others_may_use_is_refused() {
        let (_folder, path) = place();
        identity(1).store(&path).expect("a new file");
        for mode in [0o600, 0o400, 0o700] {
            chmod(&path, mode);
            assert!(Identity::load(&path).is_ok(), "{mode:o}");
        }
        for mode in [0o640, 0o620, 0o610, 0o604, 0o602, 0o601, 0o666, 0o777, 0o440] {
            chmod(&path, mode);
            match Identity::load_or_create(&path, seed(2)) {
                Err(KeyFileError::TooOpen(at, found)) => {
                    assert_eq!((at, found), (path.clone(), mode))
                }
                other => panic!("{mode:o}: {other:?}"),
            }
        }
        chmod(&path, 0o640);
        let text = Identity::load(&path).expect_err("too open").to_string();
        assert!(text.contains("mode 640") && text.contains("chmod 600"), "{text}");
    }

    fn seed(byte: u8) -> Seed {
        Seed::dangerous_reproducible([byte; 32])
    }

    fn identity(byte: u8) -> Identity {
        Identity::from_seed(seed(byte))
    }

    fn place() -> (TempDir, PathBuf) {
        let folder = tempdir().expect("a folder");
        let path = folder.path().join("key.pem");
        (folder, path)
    }

    fn write(path: &Path, text: &str) {
        fs::write(path, text).expect("a new file");
        #[cfg(unix)]
        chmod(path, 0o600);
    }

    #[cfg(unix)]
    fn chmod(path: &Path, mode: u32) {
        let mode = std::os::unix::fs::PermissionsExt::from_mode(mode);
        fs::set_permissions(path, mode).expect("our file");
    }

    fn io(error: Option<KeyFileError>) -> Option<ErrorKind> {
        match error {
            Some(KeyFileError::Io(_, error)) => Some(error.kind()),
            _ => None,
        }
    }
}
