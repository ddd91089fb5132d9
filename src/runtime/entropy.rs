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
    draw(&mut *bytes)?;
    Ok(Seed::fresh(bytes))
}

/// Random bytes that are no secret: ids, and what spreads waits.
pub(crate) fn random<const N: usize>() -> Result<[u8; N], Error> {
    let mut bytes = [0; N];
    draw(&mut bytes)?;
    Ok(bytes)
}

fn draw(bytes: &mut [u8]) -> Result<(), Error> {
    #[cfg(feature = "__fuzz")]
    if super::simulated::fill(bytes) {
        return Ok(());
    }
    SysRng.try_fill_bytes(bytes).map_err(|error| Error::with(ErrorKind::Entropy, error))
}

/// A new identity that no one else has.
///
/// # Errors
///
/// As [`seed`].
pub fn new_identity() -> Result<Identity, Error> {
    seed().map(Identity::from_seed)
}
