//! The file an identity lives in. Nobody but its owner may read it.

use std::fs::{File, OpenOptions};
use std::io::{ErrorKind, Read, Write};
use std::path::{Path, PathBuf};

use zeroize::Zeroizing;

use super::identity::{Identity, PemError};
use super::seed::Seed;

const FILE_BYTES: u64 = 16 * 1024;

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
    /// Reads the identity in a PKCS#8 PEM file.
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
        let mut pem = Zeroizing::new(String::with_capacity(1024));
        file.take(FILE_BYTES).read_to_string(&mut pem).map_err(failed)?;
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
        let written = options.open(path).and_then(|mut file| {
            file.write_all(self.to_pem().as_bytes())?;
            file.sync_all()
        });
        written.map_err(|error| KeyFileError::Io(path.to_owned(), error))
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
