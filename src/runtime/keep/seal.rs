//! Rows between the links and the disk: each value is sealed for its place, under a nonce of its own.
//! Knows no row's meaning.
//!
//! ```text
//! value = nonce 24, sealed bytes, tag 16; bound to: table 1, id
//! ```

use std::collections::BTreeMap;

use rand::TryRng;
use rand::rngs::SysRng;
use zeroize::Zeroizing;

use super::error::KeepError;
use super::rows::Plain;
use crate::crypto::AtRest;
use crate::store::{Change, Key};

/// What a commit is to do, one change a row: `None` removes it.
pub(super) type Changes = BTreeMap<Key, Option<Plain>>;

const NONCE_BYTES: usize = 24;
const TAG_BYTES: usize = 16;

/// The changes as a store gets them.
///
/// # Errors
///
/// [`KeepError::Entropy`].
pub(super) fn seal_all(sealing: &AtRest, changes: &Changes) -> Result<Vec<Change>, KeepError> {
    // Drawn at once: a system call for each row would cost more than sealing it.
    let mut nonces = vec![0; NONCE_BYTES * changes.len()];
    SysRng.try_fill_bytes(&mut nonces).map_err(KeepError::Entropy)?;
    let nonces = nonces.as_chunks::<NONCE_BYTES>().0;
    let sealed = changes.iter().zip(nonces).map(|((key, value), nonce)| match value {
        Some(value) => Change::Put(key.clone(), seal(sealing, key, nonce, value)),
        None => Change::Remove(key.clone()),
    });
    Ok(sealed.collect())
}

fn seal(sealing: &AtRest, key: &Key, nonce: &[u8; NONCE_BYTES], value: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(NONCE_BYTES + value.len() + TAG_BYTES);
    out.extend_from_slice(nonce);
    out.extend_from_slice(value);
    let text = out.get_mut(NONCE_BYTES..).unwrap_or_default();
    let tag = sealing.seal(nonce, &bound(key), text);
    out.extend_from_slice(&tag);
    out
}

/// What was sealed at this place.
///
/// # Errors
///
/// [`KeepError::Sealed`] if it was not, not with this key, or not there.
pub(super) fn open(sealing: &AtRest, key: &Key, sealed: &[u8]) -> Result<Plain, KeepError> {
    let parts = sealed
        .split_first_chunk::<NONCE_BYTES>()
        .and_then(|(nonce, rest)| Some((nonce, rest.split_last_chunk::<TAG_BYTES>()?)));
    let Some((nonce, (text, tag))) = parts else { return Err(KeepError::Sealed(key.table())) };
    let mut text = Zeroizing::new(text.to_vec());
    let opened = sealing.open(nonce, &bound(key), &mut text, tag);
    opened.map(|()| text).map_err(|_| KeepError::Sealed(key.table()))
}

fn bound(key: &Key) -> Vec<u8> {
    [&[key.table() as u8], key.id()].concat()
}
