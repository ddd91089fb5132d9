//! Entropy from the operating system.

use rand::TryRng;
use rand::rngs::SysRng;
use zeroize::Zeroizing;

use crate::crypto::{Identity, Seed};
use crate::error::{Error, ErrorKind};

/// A fresh seed, drawn from the operating system.
///
/// # Errors
///
/// [`ErrorKind::Entropy`] if it gives none. Nothing can be made securely then.
pub fn seed() -> Result<Seed, Error> {
    let mut bytes = Zeroizing::new([0; 32]);
    let drawn = SysRng.try_fill_bytes(&mut *bytes);
    drawn.map_err(|error| Error::with(ErrorKind::Entropy, error))?;
    Ok(Seed::fresh(bytes))
}

/// Random bytes that are no secret: ids, and what spreads waits.
pub(crate) fn random<const N: usize>() -> Result<[u8; N], Error> {
    let mut bytes = [0; N];
    let drawn = SysRng.try_fill_bytes(&mut bytes);
    drawn.map_err(|error| Error::with(ErrorKind::Entropy, error))?;
    Ok(bytes)
}

/// A new identity that no one else has.
///
/// # Errors
///
/// As [`seed`].
pub fn new_identity() -> Result<Identity, Error> {
    seed().map(Identity::from_seed)
}
