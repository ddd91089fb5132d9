//! Cookies: proof, kept by the asker, that a HELLO came from where it says. Costs the responder no
//! memory.

use crate::crypto::{Secret, Seed, mac, same};
use crate::limits::COOKIE_TIME;
use crate::time::UnixTime;

const VERSION: u8 = 1;
pub(super) const COOKIE_LENGTH: usize = 1 + 4 + 16;

/// The key that a responder (or all replicas of one) makes cookies with.
pub struct CookieKey(Secret);

impl CookieKey {
    /// A key of a seed.
    #[must_use]
    pub fn new(seed: &Seed) -> Self {
        Self(Secret::new(*seed.draw("cookie key")))
    }

    /// The cookie for a HELLO whose statement hashes to `hello`, from `source`.
    pub(super) fn make(&self, source: &[u8], hello: &[u8], now: UnixTime) -> [u8; COOKIE_LENGTH] {
        self.of_bucket(source, hello, bucket(now))
    }

    /// Whether this key made `cookie` for `hello` from `source` in this bucket or the last.
    pub(super) fn accepts(
        &self,
        cookie: &[u8],
        source: &[u8],
        hello: &[u8],
        now: UnixTime,
    ) -> bool {
        let this = bucket(now);
        [this, this.wrapping_sub(1)]
            .into_iter()
            .any(|bucket| same(&self.of_bucket(source, hello, bucket), cookie))
    }

    fn of_bucket(&self, source: &[u8], hello: &[u8], bucket: u32) -> [u8; COOKIE_LENGTH] {
        let bucket = bucket.to_be_bytes();
        let key = self.0.derive("cookie", &bucket);
        let [.., high, low] = source.len().to_be_bytes();
        let tag = mac(key.bytes(), &[&[high, low], source, hello]);
        let mut bytes = [VERSION].into_iter().chain(bucket).chain(tag);
        std::array::from_fn(|_| bytes.next().unwrap_or(0))
    }
}

impl std::fmt::Debug for CookieKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("CookieKey(..)")
    }
}

fn bucket(now: UnixTime) -> u32 {
    (now.as_secs() / COOKIE_TIME.as_secs()) as u32
}
